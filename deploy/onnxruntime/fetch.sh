#!/bin/sh
# Puts the ONNX Runtime shared library into the cache and prints its path.
#
#   fetch.sh [--cuda] [--source auto|wheel|archive] [--library PATH] [VERSION]
#
# Sources, in this order:
#   1. an explicit path: --library PATH or SLUICE_RUNTIME_LIBRARY (used as it is)
#   2. the cache: ${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}/onnxruntime/VERSION[-cuda13]/
#   3. the Python wheel, by pip with pip's own configuration
#   4. the official release archive, below SLUICE_RUNTIME_BASE_URL
#
# Every download is verified before it is used: the libraries of a wheel one by
# one, a release archive as a whole (its libraries are another build than the
# wheel's, so their digests differ). A version without a digest below needs
# SLUICE_RUNTIME_SHA256: the digest of libonnxruntime.so (wheel) or of the
# archive. Beside the library lies SHA256SUMS, with which the cache is verified.
#
# Also read: SLUICE_PYTHON (default python3), SLUICE_RUNTIME_ARCH (default: this
# machine's).
set -eu

PINNED=1.27.0 # the version onnxruntime_go v1.31.0 is used with

say() { printf 'onnxruntime: %s\n' "$*" >&2; }
fail() {
	printf 'onnxruntime: error: %s\n' "$1" >&2
	printf 'onnxruntime: cure: %s\n' "$2" >&2
	exit 1
}
usage() {
	sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0" >&2
	exit 2
}

# digests: source version build arch file sha256. The archives' digests are
# those under which several public projects pin the same release files.
digests() {
	cat <<'TABLE'
wheel 1.27.0 cpu x86_64 libonnxruntime.so b5c9d4f124d24707f514dad926dc181820807178855df1c528e3addb2dd0e6f7
wheel 1.27.0 cpu aarch64 libonnxruntime.so 9275ef52956228686ae47b0219f67476a1148505084bdc5571e7bf1bf69b11f2
wheel 1.30.0 cpu x86_64 libonnxruntime.so c902c70b3003c0e99fada202f37478c515ae9bba7944c2b2abd0017bae0c82ed
wheel 1.30.0 cpu aarch64 libonnxruntime.so 8a218e1e446880131115c368ec7005969a5022af9a15a26173de648fef0b7789
wheel 1.27.0 cuda13 x86_64 libonnxruntime.so 184096f611d6cfff75f5d4cbaf01f76d736ab10d408d335fca0c85e5a79018db
wheel 1.27.0 cuda13 x86_64 libonnxruntime_providers_cuda.so 9aacf1788ceae09ca362cbf9bb3c1d69c94cec86e24310de7ad14e6b05b5bb5d
wheel 1.27.0 cuda13 x86_64 libonnxruntime_providers_shared.so 086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d
wheel 1.30.0 cuda13 x86_64 libonnxruntime.so 5a140dc17c8b60b35b2ceab0bb533e65ac54f06a208948417c1f9c31df6afc4c
wheel 1.30.0 cuda13 x86_64 libonnxruntime_providers_cuda.so 35da2e7ed0dd0d1aec5cdb16ce11a51d06c0c48cf62d1b1c9332946a4fae14fc
wheel 1.30.0 cuda13 x86_64 libonnxruntime_providers_shared.so 086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d
archive 1.27.0 cpu x86_64 archive 547e40a48f1fe73e3f812d7c88a948612c23f896b91e4e2ee1e232d7b468246f
archive 1.27.0 cpu aarch64 archive 3e4d83ac06924a32a07b6d7f91ce6f852876153fc0bbdf931bf517a140bfbe48
archive 1.30.0 cpu x86_64 archive a5ed5a3cac51fbb2e90da632ae43d19212faaa20e76484e62bcb7c23ddb3b3fd
archive 1.30.0 cpu aarch64 archive e16a27a8ed330bbc698df7330b0cf56e722f354e3bcc92118682c74ef3c3e3da
archive 1.27.0 cuda13 x86_64 archive 1a3227e1dc2f53d9f877c93278af500b15e26d99aa5ade877692138b3ab7d351
archive 1.30.0 cuda13 x86_64 archive 382d79133112388cf94ce5855789b7c9bef12bef76a08b6b277e5a317213adcd
TABLE
}

# wanted SOURCE FILE: the digest that file must have; SLUICE_RUNTIME_SHA256
# stands for the main file of a source.
wanted() {
	if [ -n "${SLUICE_RUNTIME_SHA256:-}" ]; then
		case $2 in libonnxruntime.so | archive)
			printf '%s\n' "$SLUICE_RUNTIME_SHA256"
			return
			;;
		esac
	fi
	digests | while read -r source version_ build_ arch_ file sum; do
		if [ "$source $version_ $build_ $arch_ $file" = "$1 $version $build $arch $2" ]; then
			printf '%s\n' "$sum"
		fi
	done
}

sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

# verify SOURCE NAME PATH: fails unless the file has its digest.
verify() {
	sum=$(wanted "$1" "$2")
	[ -n "$sum" ] || fail "no digest is known for $2 of ONNX Runtime $version ($build, $arch) from the $1" \
		"set SLUICE_RUNTIME_SHA256 to the digest you trust, or use version $PINNED"
	have=$(sha256 "$3")
	[ "$have" = "$sum" ] || fail "$2 from the $1 has sha256 $have, expected $sum" \
		"the download is damaged or not the official file: check the proxy or mirror it came through, then run this again"
}

files() {
	printf 'libonnxruntime.so\n'
	if [ "$build" = cuda13 ]; then
		printf 'libonnxruntime_providers_shared.so\nlibonnxruntime_providers_cuda.so\n'
	fi
}

# cached: 0 when the cache holds every file with its digest.
cached() {
	for name in $(files); do
		[ -f "$folder/$name" ] || return 1
	done
	if [ -f "$folder/SHA256SUMS" ]; then
		(cd "$folder" && sha256sum --status -c SHA256SUMS) && return 0
	else
		for name in $(files); do
			sum=$(wanted wheel "$name")
			[ -n "$sum" ] && [ "$(sha256 "$folder/$name")" = "$sum" ] || {
				say "$folder/$name is not the file it should be: fetching again"
				return 1
			}
		done
		return 0
	fi
	say "$folder holds a damaged file: fetching again"
	return 1
}

# from_wheel: the wheel's Python version does not matter, only the libraries in
# it do, so that any python3 with pip will do.
from_wheel() {
	python=${SLUICE_PYTHON:-python3}
	package=onnxruntime
	if [ "$build" = cuda13 ]; then package=onnxruntime-gpu; fi
	"$python" -m pip --version >/dev/null 2>&1 || {
		say "no pip ($python -m pip): leaving out the wheel"
		return 1
	}
	say "downloading the $package $version wheel"
	"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.12 --abi cp312 \
		--platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" \
		--dest "$work/wheel" "$package==$version" >&2 || return 1
	"$python" - "$work/wheel" "$work/lib" <<'PYTHON' || return 1
import glob, os, re, shutil, sys, zipfile
wheel, out = glob.glob(sys.argv[1] + "/*.whl")[0], sys.argv[2]
with zipfile.ZipFile(wheel) as z:
    for name in z.namelist():
        m = re.fullmatch(r"onnxruntime/capi/(libonnxruntime(?:_providers_shared|_providers_cuda)?\.so)(\.[0-9.]+)?", name)
        if m:
            with z.open(name) as src, open(os.path.join(out, m.group(1)), "wb") as dst:
                shutil.copyfileobj(src, dst, 1 << 20)
PYTHON
	for name in $(files); do
		verify wheel "$name" "$work/lib/$name"
	done
}

download() {
	if command -v curl >/dev/null 2>&1; then
		curl --fail --silent --show-error --location --retry 2 --connect-timeout 20 --output "$2" "$1"
	elif command -v wget >/dev/null 2>&1; then
		wget --quiet --tries=3 --connect-timeout=20 --output-document="$2" "$1"
	else
		say "neither curl nor wget is here"
		return 1
	fi
}

from_archive() {
	base=${SLUICE_RUNTIME_BASE_URL:-https://github.com/microsoft/onnxruntime/releases/download}
	platform=$arch
	if [ "$arch" = x86_64 ]; then platform=x64; fi
	if [ "$build" = cuda13 ]; then platform=$platform-gpu_cuda13; fi
	url=$base/v$version/onnxruntime-linux-$platform-$version.tgz
	say "downloading $url"
	download "$url" "$work/archive.tgz" || return 1
	verify archive archive "$work/archive.tgz"
	mkdir -p "$work/x"
	tar -xzf "$work/archive.tgz" -C "$work/x" || return 1
	for name in $(files); do
		# the archive has lib/libonnxruntime.so.VERSION and links to it
		real=$(find "$work/x" -type f \( -name "$name" -o -name "$name.$version" \) | head -n 1)
		[ -n "$real" ] || fail "the archive $url holds no $name" "check SLUICE_RUNTIME_BASE_URL and the version"
		cp "$real" "$work/lib/$name"
	done
}

# install moves the verified files into place, the main library last: whoever
# sees it sees whole files. Concurrent runs each move files of their own, which
# have the same content.
install_files() {
	(cd "$work/lib" && sha256sum $(files) >SHA256SUMS)
	chmod 755 "$work"/lib/*.so
	mkdir -p "$folder"
	for name in $(files | sort -r) SHA256SUMS; do
		mv -f "$work/lib/$name" "$folder/$name"
	done
}

version=$PINNED build=cpu source=auto library=${SLUICE_RUNTIME_LIBRARY:-}
while [ $# -gt 0 ]; do
	case $1 in
	--cuda) build=cuda13 ;;
	--source | --library)
		[ $# -gt 1 ] || usage
		if [ "$1" = --source ]; then source=$2; else library=$2; fi
		shift
		;;
	-*) usage ;;
	*) version=$1 ;;
	esac
	shift
done
case $source in auto | wheel | archive) ;; *) usage ;; esac
case $version in *[!0-9.]* | '' | .*) usage ;; esac

if [ -n "$library" ]; then
	[ -f "$library" ] || fail "the library $library (--library or SLUICE_RUNTIME_LIBRARY) does not exist" \
		"correct the path, or leave it out to fetch version $version"
	printf '%s\n' "$library"
	exit 0
fi

[ "$(uname -s)" = Linux ] || fail "libraries are fetched for Linux only, this is $(uname -s)" \
	"install ONNX Runtime $version and set SLUICE_RUNTIME_LIBRARY to its library"
arch=${SLUICE_RUNTIME_ARCH:-$(uname -m)}
case $arch in
x86_64 | amd64) arch=x86_64 ;;
aarch64 | arm64) arch=aarch64 ;;
*) fail "no ONNX Runtime build is known for $arch" "build it and set SLUICE_RUNTIME_LIBRARY to its library" ;;
esac
if [ "$build" = cuda13 ] && [ "$arch" != x86_64 ]; then
	fail "the CUDA build exists for x86_64 only, this is $arch" "leave out --cuda, or set SLUICE_RUNTIME_LIBRARY"
fi

cache=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}/onnxruntime
folder=$cache/$version
if [ "$build" = cuda13 ]; then folder=$folder-cuda13; fi
if cached; then
	say "$version ($build) is in the cache"
	printf '%s\n' "$folder/libonnxruntime.so"
	exit 0
fi

mkdir -p "$cache" || fail "cannot make the cache folder $cache" "set SLUICE_CACHE to a folder that can be written"
work=$(mktemp -d "$cache/.fetch.XXXXXX") # same file system as the cache: renames are atomic
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/lib"

found=
for try in wheel archive; do
	case $source in auto | "$try") ;; *) continue ;; esac
	if "from_$try"; then
		found=$try
		break
	fi
	say "the $try of ONNX Runtime $version could not be fetched"
	rm -rf "$work/lib" && mkdir "$work/lib"
done
[ -n "$found" ] || fail "ONNX Runtime $version ($build, $arch) came from none of its sources (source: $source)" \
	"give pip or curl a way out (proxy, mirror, SLUICE_RUNTIME_BASE_URL), or put the library there yourself and set SLUICE_RUNTIME_LIBRARY"
install_files
say "$version ($build) from the $found is in $folder"
printf '%s\n' "$folder/libonnxruntime.so"
