# What `cmake --install` puts where.
include(GNUInstallDirs)
install(TARGETS bellwire bellwire-relay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
