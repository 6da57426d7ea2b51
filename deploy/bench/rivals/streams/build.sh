#!/usr/bin/env bash
# Builds the two Java contenders of the bench into one jar in the cache and prints the command that runs one:
#
#   build.sh [streams|crayfish]      the bench's arguments go behind what it prints
#
# It needs Java 17 or newer and Maven. The jar is kept under the digest of its sources, so an old one is never run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

die() {
  echo "streams/build.sh: $*" >&2
  exit 1
}

case ${1:-streams} in
# Two cores that the broker shares: a serial collector steals no cycles from the other thread, and short-lived batches
# die in a young generation that holds many of them.
streams) FLAGS=(-Xms512m -Xmx512m -Xmn320m -XX:+UseSerialGC -XX:-UsePerfData) ;;
# As published: the JVM's defaults, but for a heap that fits beside the broker.
crayfish) FLAGS=(-Xmx1g) ;;
*) die "which contender? streams or crayfish" ;;
esac

command -v java >/dev/null || die "Java 17 is needed (Debian: apt-get install openjdk-17-jdk-headless maven)"
CACHE=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
DIGEST=$(find pom.xml src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c 1-12)
JAR=$CACHE/rivals/streams-$DIGEST.jar
if [ ! -f "$JAR" ]; then
  command -v mvn >/dev/null || die "Maven is needed to build it (Debian: apt-get install maven)"
  mkdir -p "$CACHE/rivals"
  BUILD=$(mktemp -d "$CACHE/rivals/build-XXXXXX")
  trap 'rm -rf "$BUILD"' EXIT
  cp -r pom.xml src "$BUILD"
  mvn -q -B -f "$BUILD/pom.xml" package >&2 || die "the build failed: see above"
  mv "$BUILD/target/streams-rival.jar" "$JAR"
fi
echo java "${FLAGS[@]}" -jar "$JAR"
