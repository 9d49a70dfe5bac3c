#!/bin/sh
# The image's first word may be a command; without one, or with options only, it is the bridge.
# "exec": the command gets the container's signals itself.
case ${1-} in
  netjumper | netjumper-bridge) exec "$@" ;;
  *) exec netjumper-bridge "$@" ;;
esac
