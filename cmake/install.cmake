# What `cmake --install` puts where.
include(GNUInstallDirs)
install(TARGETS bellwire bellwire-relay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES deploy/man/bellwire.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES deploy/man/bellwire-relay.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8)
install(FILES deploy/relay.conf DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/bellwire)
install(FILES deploy/bellwire-relay.service deploy/bellwire-relay.socket DESTINATION lib/systemd/system)
install(FILES deploy/dbus-1/services/org.unifiedpush.Distributor.bellwire.service
  DESTINATION ${CMAKE_INSTALL_DATADIR}/dbus-1/services)
