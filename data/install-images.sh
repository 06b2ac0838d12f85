#!/bin/sh
# Installs the images that were built, so that an installed Cube starts pods without a registry; none were built without the tests' packages.
set -eu
target=$MESON_INSTALL_DESTDIR_PREFIX/share/cube/images
for image in "$MESON_BUILD_ROOT"/images/*.tar; do
  [ -f "$image" ] || continue
  mkdir -p "$target"
  cp "$image" "$target/"
done
