#!/bin/sh
# Gets what tests need beside Python: sh scripts/services.sh kafka|prometheus|alertmanager|tools|browser|examples
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

alertmanager() {
    if command -v prometheus-alertmanager >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Tests want Debian's Alertmanager. Run: sudo sh scripts/services.sh alertmanager" >&2
        exit 3
    fi
    echo "Installing Alertmanager ..."
    # It is started by the tests that want it, and not as a service.
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus-alertmanager; } >/dev/null || exit 3
}

# What docs/verify.md tells an auditor to check by hand with, and what checks the units for systemd.
tools() {
    if command -v openssl >/dev/null && command -v jq >/dev/null && command -v xxd >/dev/null &&
        command -v systemd-analyze >/dev/null; then return; fi
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "Tests want openssl, jq, xxd and systemd-analyze. Run: sudo sh scripts/services.sh tools" >&2
        exit 3
    fi
    echo "Installing openssl, jq, xxd and systemd-analyze ..."
    { apt-get update -qq && RUNLEVEL=1 apt-get install -y -qq --no-install-recommends openssl jq xxd systemd; } \
        >/dev/null || exit 3
}

# Debian's Chromium, and what finds pages that not everybody can use.
AXE_VERSION=4.14.1
AXE_SHA256=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

browser() {
    axe=".cache/axe-core-$AXE_VERSION"
    if command -v chromium >/dev/null && [ -f "$axe/axe.min.js" ]; then return; fi
    if ! command -v chromium >/dev/null || ! command -v npm >/dev/null; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "The page's tests want Debian's Chromium and npm. Run: sudo sh scripts/services.sh browser" >&2
            exit 3
        fi
        echo "Installing Chromium and npm ..."
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium npm; } >/dev/null || exit 3
    fi
    if [ -f "$axe/axe.min.js" ]; then return; fi
    echo "Fetching axe-core $AXE_VERSION into $axe ..."
    mkdir -p .cache
    fresh="$(mktemp -d .cache/axe.XXXXXX)"
    (cd "$fresh" && npm pack --silent "axe-core@$AXE_VERSION" >/dev/null) || { rm -rf "$fresh"; exit 3; }
    echo "$AXE_SHA256  $fresh/axe-core-$AXE_VERSION.tgz" | sha256sum -c --quiet || { rm -rf "$fresh"; exit 3; }
    tar -xzf "$fresh/axe-core-$AXE_VERSION.tgz" -C "$fresh" --strip-components=1 package/axe.min.js
    chmod 755 "$fresh"
    if [ -d "$axe" ]; then rm -rf "$fresh"; else mv "$fresh" "$axe"; fi
}

# What the examples are run with: JAX, Debian's PyTorch, and the sources of Transformers and Lightning to look things up in.
examples() {
    uv=".venv/bin/uv"
    home=".cache/examples"
    if ! /usr/bin/python3 -c 'import torch' 2>/dev/null; then
        if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
            echo "The examples' tests want Debian's PyTorch. Run: sudo sh scripts/services.sh examples" >&2
            exit 3
        fi
        echo "Installing PyTorch ..."
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-torch; } >/dev/null || exit 3
    fi
    cat tests/examples/*.lock >".cache/examples.wanted"
    if cmp -s ".cache/examples.wanted" "$home/locks"; then return; fi
    echo "Fetching what the examples are run with into $home (600 MB on disk, once) ..."
    fresh="$(mktemp -d .cache/examples.XXXXXX)"
    {
        "$uv" venv --quiet --relocatable "$fresh/jax" &&
            "$uv" pip sync --quiet --python "$fresh/jax" --require-hashes tests/examples/jax.lock &&
            "$uv" pip install --quiet --python /usr/bin/python3 --target "$fresh/torch" --require-hashes \
                -r tests/examples/torch.lock &&
            "$uv" pip install --quiet --target "$fresh/sources" --no-deps --require-hashes -r tests/examples/sources.lock
    } || { rm -rf "$fresh"; exit 3; }
    mv ".cache/examples.wanted" "$fresh/locks"
    chmod 755 "$fresh"
    rm -rf "$home"
    mv "$fresh" "$home"
}

case "${1:-}" in
kafka) kafka ;;
prometheus) prometheus ;;
alertmanager) alertmanager ;;
tools) tools ;;
browser) browser ;;
examples) examples ;;
*)
    echo "Usage: sh scripts/services.sh kafka|prometheus|alertmanager|tools|browser|examples" >&2
    exit 2
    ;;
esac
