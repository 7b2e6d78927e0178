# What `cmake --install` puts where. Each component is a Debian package of its own.
include(GNUInstallDirs)
set(BELLWIRE_USER_UNITS lib/systemd/user)

install(TARGETS bellwire-relay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT relay)
install(FILES deploy/man/bellwire-relay.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT relay)
install(FILES deploy/relay.conf DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/bellwire COMPONENT relay)
install(FILES deploy/bellwire-relay.service deploy/bellwire-relay.socket DESTINATION lib/systemd/system COMPONENT relay)
install(FILES deploy/Caddyfile deploy/nginx.conf deploy/haproxy.cfg
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/bellwire-relay/examples COMPONENT relay)

install(TARGETS bellwire-distributor RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT distributor)
install(FILES deploy/man/bellwire-distributor.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 COMPONENT distributor)
install(FILES deploy/bellwire-distributor.service DESTINATION ${BELLWIRE_USER_UNITS} COMPONENT distributor)
install(FILES deploy/dbus-1/services/org.unifiedpush.Distributor.bellwire.service
  DESTINATION ${CMAKE_INSTALL_DATADIR}/dbus-1/services COMPONENT distributor)
install(FILES deploy/autostart/bellwire-distributor.desktop
  DESTINATION ${CMAKE_INSTALL_FULL_SYSCONFDIR}/xdg/autostart COMPONENT distributor)
install(FILES deploy/applications/bellwire-distributor.desktop
  DESTINATION ${CMAKE_INSTALL_DATADIR}/applications COMPONENT distributor)
install(FILES deploy/distributor.conf
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/bellwire-distributor/examples COMPONENT distributor)

install(TARGETS bellwire RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tool)
install(FILES deploy/man/bellwire.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT tool)
install(FILES deploy/completions/bellwire.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME bellwire COMPONENT tool)
install(FILES deploy/completions/_bellwire DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT tool)
install(FILES deploy/completions/bellwire.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d
  COMPONENT tool)
