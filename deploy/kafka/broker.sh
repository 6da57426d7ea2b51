#!/usr/bin/env bash
# A real Apache Kafka for tests and trials, without Docker: KRaft, loopback only, data in a temporary folder.
#
#   broker.sh start [-n NODES] [-d DIR] [KEY=VALUE ...]   start it, print where it is; KEY=VALUE are broker settings
#   broker.sh stop [DIR]             stop it and remove its data
#   broker.sh env [DIR]              print where it is
#   broker.sh kill|restart|up [DIR] [NODE]   kill -9 a node (default: all); kill and start again; start again
#   broker.sh with [-n NODES] [KEY=VALUE ...] -- COMMAND ...   start, run COMMAND with its addresses, stop
#   broker.sh topics [-p PARTITIONS] TOPIC ...   create topics (default: 4 partitions) on KAFKA_BROKERS
#   broker.sh fetch                  only fetch Kafka into the cache; print the folder
#   broker.sh probe                  say how start would go about it, or what is missing
#
# Where it is comes as lines for the environment, so that a shell takes them with
#   export $(deploy/kafka/broker.sh start)
# KAFKA_BROKERS (plaintext), KAFKA_TLS_BROKERS, KAFKA_SASL_BROKERS (TLS and SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN, user
# "user", password "canary-d41b8c"; OAUTHBEARER with unsigned tokens), KAFKA_MTLS_BROKERS (client certificate required: KAFKA_CERT_FILE, KAFKA_KEY_FILE),
# KAFKA_PROXIED_BROKERS (plaintext, for a proxy: clients must come, and are sent, to one port above it),
# KAFKA_CA_FILE, KAFKA_JARS (the Java client's, for tests), KAFKA_DIR (what stop, kill and restart work on).
# When KAFKA_BROKERS is set already, that broker is used and nothing is started.
#
# It needs Java 17 or newer, and Maven for the first fetch. With a Docker engine but no Java the same is run in the
# official image (KAFKA_RUNNER=docker forces that; this way is not covered by the project's own CI).
set -euo pipefail

VERSION=${KAFKA_VERSION:-4.3.0}
CACHE=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
LIBS=$CACHE/kafka/$VERSION
IMAGE=apache/kafka:$VERSION
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CLUSTER_ID=c2x1aWNlLXRlc3QtYnJva2Vy
# Small and quick to start: 210-280 MB resident a node.
JVM=(-Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
# Others, the heap's limit first: the bench lets the broker compile as a broker in production does.
[ -z "${KAFKA_JVM:-}" ] || read -ra JVM <<<"$KAFKA_JVM"

say() { echo "broker.sh: $*" >&2; }
die() {
  say "$@"
  exit 1
}
usage() {
  sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
}

# --- Java, here or in the official image -----------------------------------------------------------------------------

java_version() { # major version of the java in the path, 0 without one
  java -version 2>&1 | sed -n 's/.*version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -1 | grep . || echo 0
}

# runner prints "java" or "docker", or says what is missing and how to mend it.
runner() {
  if [ -n "${KAFKA_RUNNER:-}" ]; then
    echo "$KAFKA_RUNNER"
    return
  fi
  local java
  java=$(java_version)
  if [ "$java" -ge 17 ] && { [ -f "$LIBS/.complete" ] || command -v mvn >/dev/null; }; then
    echo java
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    echo docker
  else
    local found="Java $java"
    [ "$java" -gt 0 ] || found="no Java"
    command -v mvn >/dev/null || found="$found, no Maven"
    die "no way to a Kafka broker: found $found and no Docker engine.
  Install Java 17 and Maven (Debian: apt-get install openjdk-17-jdk-headless maven), or start Docker,
  or name a broker of yours: KAFKA_BROKERS=host:9092. \`make check\` runs the tests that need none."
  fi
}

# fetch brings Kafka's jars into the cache, whole or not at all.
fetch() {
  [ -f "$LIBS/.complete" ] && return
  say "fetching Apache Kafka $VERSION (45 MB) into $LIBS"
  mkdir -p "$LIBS"
  local log
  log=$(mktemp)
  if ! mvn -q -B -f "$HERE/pom.xml" -Dkafka.version="$VERSION" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$LIBS" >"$log" 2>&1; then
    tail -20 "$log" >&2
    rm -f "$log"
    die "Maven could not fetch Kafka $VERSION: see above; without a network, name a broker: KAFKA_BROKERS=host:9092"
  fi
  rm -f "$log"
  touch "$LIBS/.complete"
}

# jvm runs a program of the JDK (java, keytool) where the runner says; DIR is visible under the same path.
jvm() {
  local program=$1
  shift
  if [ "$RUNNER" = docker ]; then
    docker run --rm --network host --user "$(id -u):$(id -g)" -v "$DIR:$DIR" ${CONTAINER:+--name "$CONTAINER"} \
      --entrypoint "$program" "$IMAGE" "$@"
  else
    command "$program" "$@"
  fi
}
classpath() { [ "$RUNNER" = docker ] && echo '/opt/kafka/libs/*' || echo "$LIBS/*"; }

# --- one cluster in DIR ----------------------------------------------------------------------------------------------

# free_base finds seven free ports for each of N nodes, below the ports that the kernel gives to clients.
free_base() {
  local nodes=$1 base port taken
  for _ in $(seq 50); do
    base=$((20000 + RANDOM % 1000 * 10)) taken=
    for port in $(seq "$base" $((base + 10 * nodes))); do
      if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        taken=1
        break
      fi
    done
    [ -n "$taken" ] || { echo "$base" && return; }
  done
  die "no free ports between 20000 and 30000"
}

keytool() { jvm keytool "$@" >>"$DIR/keytool.log" 2>&1 || die "keytool: $(tail -3 "$DIR/keytool.log")"; }

# certificates: one key for all nodes, whose certificate is what clients trust; one client key that the nodes trust.
certificates() {
  local common=(-keyalg EC -groupname secp256r1 -validity 3650 -storetype PKCS12 -storepass secret -keypass secret)
  keytool -genkeypair -alias broker "${common[@]}" -dname CN=127.0.0.1 -ext SAN=ip:127.0.0.1,dns:localhost \
    -keystore "$DIR/broker.p12"
  keytool -genkeypair -alias client "${common[@]}" -dname CN=sluice-client -keystore "$DIR/client.p12"
  keytool -exportcert -rfc -alias broker -keystore "$DIR/broker.p12" -storepass secret -file "$DIR/ca.pem"
  keytool -exportcert -rfc -alias client -keystore "$DIR/client.p12" -storepass secret -file "$DIR/client.pem"
  keytool -importcert -noprompt -alias client -file "$DIR/client.pem" -storetype PKCS12 -keystore "$DIR/trust.p12" \
    -storepass secret
  if command -v openssl >/dev/null; then # only OpenSSL takes a key out of a key store
    openssl pkcs12 -in "$DIR/client.p12" -passin pass:secret -nocerts -nodes -out "$DIR/client.key" 2>/dev/null
  fi
}

# configure writes the settings of one node; the last of two equal keys holds, so the caller's come last.
configure() { # NODE NODES BASE KEY=VALUE...
  local node=$1 nodes=$2 base=$3 i voters= port factor insync
  shift 3
  port=$((base + 10 * (node - 1)))
  for i in $(seq "$nodes"); do voters+=${voters:+,}$i@127.0.0.1:$((base + 10 * (i - 1) + 1)); done
  factor=$((nodes < 3 ? 1 : 3)) insync=$((nodes < 3 ? 1 : 2))
  mkdir -p "$DIR/$node"
  cat >"$DIR/log4j2.yaml" <<'END'
Configuration: {Appenders: {Console: {name: C, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}}, Loggers: {Root: {level: WARN, AppenderRef: {ref: C}}}}
END
  cat >"$DIR/$node/server.properties" <<END
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1)),SSL://127.0.0.1:$((port + 2)),SASL_SSL://127.0.0.1:$((port + 3)),MTLS://127.0.0.1:$((port + 4)),PROXIED://127.0.0.1:$((port + 5))
# whoever comes by the last one is sent to the next port, where a proxy of the caller's may listen
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SSL://127.0.0.1:$((port + 2)),SASL_SSL://127.0.0.1:$((port + 3)),MTLS://127.0.0.1:$((port + 4)),PROXIED://127.0.0.1:$((port + 6))
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,MTLS:SSL,PROXIED:PLAINTEXT
ssl.keystore.type=PKCS12
ssl.keystore.location=$DIR/broker.p12
ssl.keystore.password=secret
ssl.key.password=secret
ssl.truststore.type=PKCS12
ssl.truststore.location=$DIR/trust.p12
ssl.truststore.password=secret
listener.name.mtls.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_user="canary-d41b8c";
# unsigned tokens (alg none), whose sessions end with them (KIP-368)
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms=3600000
log.dirs=$DIR/$node/data
default.replication.factor=$factor
min.insync.replicas=$insync
offsets.topic.replication.factor=$factor
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$factor
transaction.state.log.min.isr=$insync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$factor
share.coordinator.state.topic.min.isr=$insync
auto.create.topics.enable=false
# everything is allowed but what a test forbids to the user who logs in by SASL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# so that a test of compaction need not wait 15 s
log.cleaner.backoff.ms=200
# the default takes 128 MB of the heap
log.cleaner.dedupe.buffer.size=16777216
END
  printf '%s\n' "$@" >>"$DIR/$node/server.properties"
  echo "$port" >"$DIR/$node/port"
}

format() { # NODE
  jvm java -Xmx128m "${JVM[@]:1}" -cp "$(classpath)" kafka.tools.StorageTool format -t "$CLUSTER_ID" \
    --add-scram 'SCRAM-SHA-256=[name=user,password=canary-d41b8c]' --add-scram 'SCRAM-SHA-512=[name=user,password=canary-d41b8c]' \
    -c "$DIR/$1/server.properties" >"$DIR/$1/format.log" 2>&1 || {
    cat "$DIR/$1/format.log" >&2
    die "Kafka could not format its storage in $DIR/$1"
  }
}

container() { echo "sluice-kafka-$(basename "$DIR")-$1"; }

# launch starts a node in a session of its own, so that Ctrl-C of a test does not reach it.
launch() { # NODE
  local args=("${JVM[@]}" -cp "$(classpath)" "-Dlog4j2.configurationFile=$DIR/log4j2.yaml" kafka.Kafka "$DIR/$1/server.properties")
  if [ "$RUNNER" = docker ]; then
    CONTAINER=$(container "$1") jvm java "${args[@]}" >>"$DIR/$1/broker.log" 2>&1 </dev/null &
  else
    setsid java "${args[@]}" >>"$DIR/$1/broker.log" 2>&1 </dev/null &
  fi
  echo $! >"$DIR/$1/pid"
}

alive() { [ -f "$DIR/$1/pid" ] && kill -0 "$(cat "$DIR/$1/pid")" 2>/dev/null; }

await() { # NODE: until it takes connections, two minutes at most
  local port
  port=$(cat "$DIR/$1/port")
  for _ in $(seq 1200); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
    alive "$1" || return 1
    sleep 0.1
  done
  return 1
}

halt() { # SIGNAL NODE: by its own pid only, and until it is gone
  local signal=$1 node=$2 pid
  pid=$(cat "$DIR/$node/pid" 2>/dev/null) || return 0
  if [ -f "$DIR/docker" ]; then
    docker kill -s "$signal" "$(container "$node")" >/dev/null 2>&1 || true
  else
    kill -s "$signal" "$pid" 2>/dev/null || true
  fi
  for i in $(seq 400); do
    kill -0 "$pid" 2>/dev/null || break
    [ "$i" != 300 ] || kill -s KILL "$pid" 2>/dev/null || true # a quorum that is lost can hang for ever
    sleep 0.1
  done
  rm -f "$DIR/$node/pid"
}

nodes() { # the node numbers of DIR, or the one asked for
  if [ -n "${1:-}" ]; then echo "$1"; else (cd "$DIR" && ls -d [1-9] 2>/dev/null); fi
}

environment() {
  local listener offset list node
  for listener in KAFKA_BROKERS:0 KAFKA_TLS_BROKERS:2 KAFKA_SASL_BROKERS:3 KAFKA_MTLS_BROKERS:4 KAFKA_PROXIED_BROKERS:5; do
    offset=${listener#*:} list=
    for node in $(nodes); do list+=${list:+,}127.0.0.1:$(($(cat "$DIR/$node/port") + offset)); done
    echo "${listener%:*}=$list"
  done
  echo "KAFKA_CA_FILE=$DIR/ca.pem"
  if [ -f "$DIR/client.key" ]; then
    echo "KAFKA_CERT_FILE=$DIR/client.pem"
    echo "KAFKA_KEY_FILE=$DIR/client.key"
  fi
  [ "$RUNNER" = docker ] || echo "KAFKA_JARS=$LIBS"
  echo "KAFKA_DIR=$DIR"
}

# existing prints the broker that the caller's environment names.
existing() {
  env | grep -E '^KAFKA_(BROKERS|TLS_BROKERS|SASL_BROKERS|MTLS_BROKERS|PROXIED_BROKERS|CA_FILE|CERT_FILE|KEY_FILE|JARS|DIR)=' || true
}

# --- commands --------------------------------------------------------------------------------------------------------

start() {
  local count=1 base node
  DIR=
  while getopts n:d: flag; do
    case $flag in
    n) count=$OPTARG ;;
    d) DIR=$OPTARG ;;
    *) die "see: broker.sh help" ;;
    esac
  done
  shift $((OPTIND - 1))
  if [ -n "${KAFKA_BROKERS:-}" ]; then
    say "using the broker of KAFKA_BROKERS: $KAFKA_BROKERS"
    existing
    return
  fi
  RUNNER=$(runner)
  [ "$RUNNER" = docker ] || fetch
  [ -n "$DIR" ] || DIR=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka-XXXXXX")
  mkdir -p "$DIR"
  DIR=$(cd "$DIR" && pwd)
  [ "$RUNNER" != docker ] || touch "$DIR/docker"
  certificates
  for attempt in 1 2 3; do # the ports are free when looked at, no longer
    base=$(free_base "$count")
    for node in $(seq "$count"); do
      configure "$node" "$count" "$base" "$@"
      [ -f "$DIR/$node/data/meta.properties" ] || format "$node"
    done
    if launch_all; then
      say "Apache Kafka $VERSION is up ($count node(s), data in $DIR)"
      environment
      return
    fi
    stop_nodes
    if [ "$attempt" = 3 ] || ! grep -qs 'Address already in use' "$DIR"/*/broker.log; then
      tail -n 30 "$DIR"/*/broker.log >&2
      die "Kafka did not start: its log stands above"
    fi
    rm -rf "$DIR"/[1-9]
  done
}

probe() {
  if [ -z "${KAFKA_BROKERS:-}" ]; then
    RUNNER=$(runner)
    say "a broker of our own: Apache Kafka $VERSION, by $RUNNER"
    return
  fi
  say "the broker of KAFKA_BROKERS: $KAFKA_BROKERS"
  local name
  for name in KAFKA_TLS_BROKERS KAFKA_SASL_BROKERS KAFKA_MTLS_BROKERS KAFKA_JARS; do
    [ -n "${!name:-}" ] || say "$name is not set: the tests that need it are skipped (with CI=true they fail)"
  done
}

launch_all() {
  local node
  for node in $(nodes "${1:-}"); do alive "$node" || launch "$node"; done
  for node in $(nodes "${1:-}"); do await "$node" || return 1; done
}

stop_nodes() {
  local node pids=()
  for node in $(nodes); do
    halt TERM "$node" &
    pids+=($!)
  done
  wait "${pids[@]}"
}

topics() {
  local partitions=4
  if [ "${1:-}" = -p ]; then
    partitions=$2
    shift 2
  fi
  [ -n "${KAFKA_BROKERS:-}" ] || die "topics: KAFKA_BROKERS is not set; export what start printed"
  RUNNER=$(runner)
  [ "$RUNNER" = docker ] || fetch
  DIR=$HERE
  jvm java -XX:TieredStopAtLevel=1 -cp "$(classpath)" "$HERE/Topics.java" "$KAFKA_BROKERS" "$partitions" "$@" 2>&1 |
    { grep -v -e SLF4J -e StatusLogger -e WARNING >&2 || true; }
}

# at sets DIR and RUNNER for a command on a running cluster.
at() {
  DIR=${1:-${KAFKA_DIR:-}}
  [ -n "$DIR" ] || die "which broker? Give the folder that start printed as KAFKA_DIR"
  [ -f "$DIR/1/port" ] || die "$DIR holds no broker of this script"
  DIR=$(cd "$DIR" && pwd)
  RUNNER=java
  [ ! -f "$DIR/docker" ] || RUNNER=docker
}

stop() {
  at "${1:-}"
  stop_nodes
  rm -rf "$DIR"
}

# remove is stop for a broker that may not have come up.
remove() {
  if [ -f "$1/1/port" ]; then stop "$1"; else rm -rf "$1"; fi
}

run_with() {
  local options=() lines status=0
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  [ $# -gt 1 ] || die "with: no command after --"
  shift
  if [ -z "${KAFKA_BROKERS:-}" ]; then # a broker that was there before is not ours to stop
    OURS=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka-XXXXXX")
    trap 'trap "" INT TERM HUP; remove "$OURS"' EXIT # the stop is not to be stopped
    options=(-d "$OURS" ${options[@]+"${options[@]}"})
  fi
  trap 'exit 130' INT TERM HUP
  lines=$(start ${options[@]+"${options[@]}"})
  # shellcheck disable=SC2163 # the lines are NAME=value
  while read -r line; do export "$line"; done <<<"$lines"
  "$@" || status=$?
  exit "$status"
}

command=${1:-help}
[ $# -eq 0 ] || shift
case $command in
start) start "$@" ;;
stop) stop "$@" ;;
env)
  if [ $# -eq 0 ] && [ -n "${KAFKA_BROKERS:-}" ]; then existing; else at "$@" && environment; fi
  ;;
kill) at "${1:-}" && for node in $(nodes "${2:-}"); do halt KILL "$node"; done ;;
up) at "${1:-}" && launch_all "${2:-}" ;;
restart)
  at "${1:-}"
  for node in $(nodes "${2:-}"); do halt KILL "$node"; done
  launch_all "${2:-}" || die "Kafka did not start again: see $DIR/*/broker.log"
  ;;
topics) topics "$@" ;;
with) run_with "$@" ;;
probe) probe ;;
fetch) runner >/dev/null && fetch && echo "$LIBS" ;;
help | -h | --help) usage ;;
*) die "unknown command $command: see broker.sh help" ;;
esac
