#!/usr/bin/env bash
# Installs what `make test` and `make screenshots` need beside Go and is not there
# yet: on Debian (12 is what CI has), as root or with sudo. Says nothing when
# nothing is missing. Elsewhere it tells what to install by hand, and sets up the rest.
set -euo pipefail

# The driver that playwright-go v0.5200.1 wants (playwrightCliVersion in its run.go).
version=1.52.0
integrity=sha512-l2osTgLXSMeuLZOML9qYODUQoPPnUsKsb5/P6LJ2e6uPKXUdPK5WYhN4z03G+YNbWmGDY4YENauNu4ZKczreHg==
case "$(uname -s)" in Darwin) cache=$HOME/Library/Caches ;; *) cache=$HOME/.cache ;; esac
driver=${PLAYWRIGHT_DRIVER_PATH:-$cache/ms-playwright-go/$version}

PATH=$PATH:/usr/sbin:/sbin # where Debian puts nginx
have() { command -v "$1" >/dev/null; }
die() { echo "setup: $*" >&2; exit 1; }

missing=()
have node && have npm || missing+=(nodejs npm)
have nginx || missing+=(nginx)
have redis-server || missing+=(redis-server)
have haproxy || missing+=(haproxy) # these three the doctor is tried on
have apache2 || missing+=(apache2)
have caddy || missing+=(caddy)
have cc || missing+=(gcc libc6-dev) # for go test -race
have pngquant || missing+=(pngquant) # for make screenshots
if [ -z "${E2E_CHROMIUM:-}" ] && ! have chromium-headless-shell && ! have chromium; then
  missing+=(chromium-headless-shell fonts-dejavu-core)
fi

# Without services: what the tests need they start by themselves.
install() {
  local sudo= policy=/usr/sbin/policy-rc.d
  [ "$(id -u)" = 0 ] || sudo=sudo
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
    trap "$sudo rm -f $policy" EXIT
  fi
  $sudo apt-get -qq update
  local out
  out=$($sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
    install -y --no-install-recommends "$@" 2>&1) || die "apt-get install $*: $out"
  if [ -d /run/systemd/system ]; then # nor shall they start with the machine
    for unit in nginx redis-server haproxy apache2 caddy; do
      case " $* " in *" $unit "*) $sudo systemctl -q disable --now "$unit" ;; esac
    done
  fi
}

if [ ${#missing[@]} -gt 0 ]; then
  have apt-get && grep -qs '^ID=debian' /etc/os-release ||
    die "install ${missing[*]} (Debian's names) by hand: this script knows how on Debian only"
  echo "setup: installing ${missing[*]}"
  install "${missing[@]}"
fi

if [ ! -f "$driver/package/cli.js" ]; then # the npm package is laid out as the driver: package/…
  echo "setup: fetching the Playwright driver $version"
  mkdir -p "$driver"
  tmp=$(mktemp -d "$driver/.pack.XXXXXX")
  npm pack --silent --pack-destination "$tmp" "playwright-core@$version" >/dev/null ||
    die "npm could not fetch playwright-core@$version"
  tgz=$tmp/playwright-core-$version.tgz
  got=sha512-$(node -p 'require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("base64")' "$tgz")
  [ "$got" = "$integrity" ] || die "playwright-core-$version.tgz is not the one expected: $got"
  tar -xzf "$tgz" -C "$tmp"
  mv "$tmp/package" "$driver/package"
  rm -rf "$tmp"
fi
[ -e "$driver/node" ] || ln -sf "$(command -v node)" "$driver/node"
"$driver/node" "$driver/package/cli.js" --version | grep -qF "$version" ||
  die "the Playwright driver in $driver does not run: delete that folder and try again"
