# Short forms for the kinds of target that the folders declare.

# bellwire_unit_test(name SOURCES a.c ... LIBS x ...): a cmocka program run by ctest.
function(bellwire_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} PkgConfig::CMOCKA)
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS unit)
endfunction()

# bellwire_scenarios(prefix VARIABLE=VALUE...): each test_*.py of the folder is run by ctest as PREFIX_*, so that the
# summary names the behaviour that broke; with these variables in its environment.
function(bellwire_scenarios prefix)
  find_program(PYTEST_PYTHON NAMES python3 PATHS /usr/bin NO_DEFAULT_PATH REQUIRED)
  file(GLOB scenarios CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} test_*.py)
  foreach(scenario ${scenarios})
    string(REGEX REPLACE "^test_(.*)\\.py$" "${prefix}_\\1" name ${scenario})
    add_test(NAME ${name} COMMAND ${PYTEST_PYTHON} -B -m pytest ${CMAKE_CURRENT_SOURCE_DIR}/${scenario}
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS ${prefix} ENVIRONMENT "${ARGN}")
  endforeach()
endfunction()

# bellwire_alone(test...): what promises a time of its own is measured with nothing beside it; ctest runs these last.
function(bellwire_alone)
  set_tests_properties(${ARGN} PROPERTIES RUN_SERIAL TRUE)
endfunction()

# bellwire_fuzz_target(name SOURCES a_fuzz.c LIBS x ...): libFuzzer; built with BELLWIRE_FUZZ only. Its seeds lie in
# tests/corpus/<name>/. Without BELLWIRE_FUZZ each seed is run once as a test, through the same entry point.
function(bellwire_fuzz_target name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/corpus/${name})
  if(BELLWIRE_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
    set_property(GLOBAL APPEND PROPERTY BELLWIRE_FUZZ_TARGETS ${name})
  elseif(BELLWIRE_TESTS)
    add_executable(${name} ${ARG_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz_replay.c)
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
    target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
    add_test(NAME ${name}_seeds COMMAND ${name} ${corpus})
    set_tests_properties(${name}_seeds PROPERTIES LABELS fuzz)
  endif()
endfunction()
