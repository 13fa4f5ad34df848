#!/bin/sh
# Builds the image, by buildah or by docker.
#
#   image.sh            builds host and components inside, too
#   image.sh prebuilt   takes those that are built here (scripts/image-root.sh)
#
# IMAGE: its name and tag (warmlink:VERSION). SOURCE: where the sources are, for a label.
# BUILDER: buildah or docker (the first that is here). BUILDAH_FLAGS, BUILD_FLAGS: more for it,
# such as `--storage-driver vfs` where there is no overlay.
set -eu
cd "$(dirname "$0")/.."
stage="${1:-build}"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
revision=$(git rev-parse HEAD)
git diff --quiet HEAD -- || revision="$revision-dirty"
# The commit's, so that the same commit is the same image.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
# A user's name or token in the address is nobody's to read.
source=${SOURCE:-$(git config --get remote.origin.url | sed -n 's,^\(https*://\)[^/@]*@,\1,; /^http/p')}
image="${IMAGE:-warmlink:$version}"
builder="${BUILDER:-$(command -v buildah || command -v docker || true)}"

case "$(uname -m)" in
x86_64) platform=linux/amd64 ;;
*)
    # The host is measured and tested on one architecture, and not promised on others.
    echo "image   built on x86_64 alone; this is $(uname -m)" >&2
    exit 1
    ;;
esac
[ "$stage" != prebuilt ] || sh scripts/image-root.sh target/image

set -- --platform "$platform" --file Dockerfile --tag "$image" \
    --build-arg STAGE="$stage" --build-arg SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
    --build-arg VERSION="$version" --build-arg REVISION="$revision" \
    --build-arg SOURCE="${source:-unknown}"
echo "image   $image of $revision, by ${builder:-nothing}" >&2
# Flags are words, and split on purpose.
# shellcheck disable=SC2086
case "$builder" in
*buildah)
    # With layers, or all of the last stage would be one; and with times that are the commit's.
    exec buildah ${BUILDAH_FLAGS:-} build ${BUILD_FLAGS:-} --layers --timestamp "$SOURCE_DATE_EPOCH" \
        --format oci "$@" .
    ;;
*docker)
    exec docker buildx build ${BUILD_FLAGS:-} --provenance=false \
        --output "type=docker,rewrite-timestamp=true" "$@" .
    ;;
*)
    echo "image   missing: buildah or docker; get one with your system's package manager" >&2
    exit 1
    ;;
esac
