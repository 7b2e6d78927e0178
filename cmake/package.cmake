# Debian packages: cpack -G DEB in a build folder that was configured with CMAKE_INSTALL_PREFIX=/usr.
set(CPACK_PACKAGE_NAME bellwire)
set(CPACK_PACKAGE_VENDOR "The Bellwire authors")
set(CPACK_PACKAGE_CONTACT "The Bellwire authors <maintainers@bellwire.invalid>")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL relay distributor tool)

set(CPACK_GENERATOR DEB)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_RELAY_PACKAGE_NAME bellwire-relay)
set(CPACK_DEBIAN_DISTRIBUTOR_PACKAGE_NAME bellwire-distributor)
set(CPACK_DEBIAN_TOOL_PACKAGE_NAME bellwire)
set(CPACK_COMPONENT_RELAY_DESCRIPTION "push relay that mail users run themselves
Takes Web Push messages over HTTP, keeps them in SQLite or Redis, and brings
them to devices over a WebSocket.")
set(CPACK_COMPONENT_DISTRIBUTOR_DESCRIPTION "push distributor for Linux phones and laptops
Holds one connection to a relay and wakes apps (UnifiedPush on D-Bus) and
commands for what comes.")
set(CPACK_COMPONENT_TOOL_DESCRIPTION "tool for the Bellwire push service
Shows what the distributor does, sends and receives Web Push messages.")
# The event loop is a module that libwebsockets loads at run time, which no shared library names.
set(CPACK_DEBIAN_RELAY_PACKAGE_DEPENDS "libwebsockets-evlib-ev, ca-certificates")
set(CPACK_DEBIAN_DISTRIBUTOR_PACKAGE_DEPENDS "libwebsockets-evlib-ev, ca-certificates")
set(CPACK_DEBIAN_DISTRIBUTOR_PACKAGE_RECOMMENDS "bellwire, default-dbus-session-bus | dbus-session-bus")
# What a click on a notice of mail opens a URL with.
set(CPACK_DEBIAN_DISTRIBUTOR_PACKAGE_SUGGESTS "xdg-utils | libglib2.0-bin")
set(CPACK_DEBIAN_TOOL_PACKAGE_DEPENDS "libwebsockets-evlib-ev, ca-certificates")
set(CPACK_DEBIAN_RELAY_PACKAGE_RECOMMENDS bellwire)

set(package_scripts ${PROJECT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_RELAY_PACKAGE_CONTROL_EXTRA
  "${package_scripts}/relay/conffiles;${package_scripts}/relay/postinst;${package_scripts}/relay/prerm;${package_scripts}/relay/postrm")
set(CPACK_DEBIAN_DISTRIBUTOR_PACKAGE_CONTROL_EXTRA
  "${package_scripts}/distributor/conffiles;${package_scripts}/distributor/postinst;${package_scripts}/distributor/postrm")
include(CPack)
