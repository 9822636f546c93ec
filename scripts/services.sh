#!/bin/sh
# Gets what tests need beside Python: sh scripts/services.sh kafka|prometheus|tools
# Kafka's jars go to .cache/kafka-<version>; Java and Maven, where missing, come from apt if root runs this.
# Exits 3 when the service can't be had, and says what to do.
set -eu
cd "$(dirname "$0")/.."

POM=tests/services/kafka/pom.xml
JAVA_NEEDED=17

java_version() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }

have_java() { command -v java >/dev/null && [ "$(java_version)" -ge "$JAVA_NEEDED" ]; }

need_java_and_maven() {
    if have_java && command -v mvn >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Kafka for tests needs Java $JAVA_NEEDED or newer and Maven. Run: sudo sh scripts/services.sh kafka" >&2
        exit 3
    fi
    echo "Installing Java and Maven ..."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends default-jre-headless maven; } >/dev/null || exit 3
    have_java || {
        echo "Kafka for tests needs Java $JAVA_NEEDED or newer; this system's default is $(java_version)." >&2
        exit 3
    }
}

kafka() {
    version="$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$POM")"
    home=".cache/kafka-$version"
    if [ -d "$home" ] && have_java; then return; fi
    need_java_and_maven
    if [ -d "$home" ]; then return; fi
    echo "Fetching Kafka $version into $home (44 MB, once) ..."
    mkdir -p .cache
    fresh="$(mktemp -d .cache/kafka.XXXXXX)"
    mvn -B -q -f "$POM" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$PWD/$fresh" || {
        rm -rf "$fresh"
        echo "Maven could not fetch Kafka $version. Is there a way to Maven Central from here?" >&2
        exit 3
    }
    chmod 755 "$fresh"
    # Only a whole set of jars ever has the final name; whoever comes second throws its own away.
    if [ -d "$home" ]; then rm -rf "$fresh"; else mv "$fresh" "$home"; fi
}

prometheus() {
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Tests want Debian's Prometheus. Run: sudo sh scripts/services.sh prometheus" >&2
        exit 3
    fi
    echo "Installing Prometheus ..."
    # It is started by the tests that want it, and not as a service.
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus; } >/dev/null || exit 3
}

# What docs/verify.md tells an auditor to check by hand with.
tools() {
    if command -v openssl >/dev/null && command -v jq >/dev/null && command -v xxd >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Tests want openssl, jq and xxd. Run: sudo sh scripts/services.sh tools" >&2
        exit 3
    fi
    echo "Installing openssl, jq and xxd ..."
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends openssl jq xxd; } >/dev/null || exit 3
}

case "${1:-}" in
kafka) kafka ;;
prometheus) prometheus ;;
tools) tools ;;
*)
    echo "Usage: sh scripts/services.sh kafka|prometheus|tools" >&2
    exit 2
    ;;
esac
