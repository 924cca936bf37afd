#!/usr/bin/env bash
# Fills third_party/ with the imported .proto files, from two jars of Maven Central. Run by hand, once per version; the result is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
jars=$(mktemp -d); trap 'rm -rf "$jars"' EXIT
for artifact in build.buf:protovalidate:1.3.0 com.google.api.grpc:proto-google-common-protos:2.61.0; do
  mvn -q -B dependency:copy "-Dartifact=$artifact" "-DoutputDirectory=$jars"
done
for file in buf/validate/validate.proto google/api/annotations.proto google/api/http.proto google/rpc/code.proto google/rpc/error_details.proto google/rpc/status.proto; do
  for jar in "$jars"/*.jar; do unzip -qo "$jar" "$file" -d third_party 2>/dev/null || true; done
  test -f "third_party/$file"
done
