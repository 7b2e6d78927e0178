# SPDX-License-Identifier: Apache-2.0
# Turns the scripts into one C file: cmake -DFOLDER=... -DOUTPUT=... -DNAMES=put,fetch -P embed.cmake
# Those of a device begin with device.lua; invite.lua stands alone.
file(READ ${FOLDER}/device.lua shared)
set(text "/* Made from redis_scripts/ by embed.cmake. */\n#include \"storage/redis_scripts.h\"\n\n")
string(APPEND text "const struct redis_script redis_scripts[REDIS_SCRIPT_COUNT] = {\n")
string(REPLACE "," ";" names "${NAMES}")
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name}.lua script)
  if(NOT name STREQUAL "invite")
    string(PREPEND script "${shared}")
  endif()
  # Comments go, their lines stay: an error of Redis names a line.
  string(REGEX REPLACE "(^|\n)[\t ]*--[^\n]*" "\\1" script "${script}")
  string(REPLACE "\\" "\\\\" script "${script}")
  string(REPLACE "\"" "\\\"" script "${script}")
  string(REPLACE "\n" "\\n\"\n\t\"" script "${script}")
  string(TOUPPER ${name} upper)
  string(APPEND text "\t[REDIS_SCRIPT_${upper}] = {\"${name}\",\n\t\"${script}\"},\n")
endforeach()
string(APPEND text "};\n")
file(WRITE ${OUTPUT} "${text}")
