#!/bin/sh
# The first argument can name the command; without one, or with options only, the bridge runs.
# With exec the command itself receives the signals of the container.
case ${1-} in
  netjumper | netjumper-bridge) exec "$@" ;;
  *) exec netjumper-bridge "$@" ;;
esac
