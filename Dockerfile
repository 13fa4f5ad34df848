# The host and its components, and nothing else: no shell, no package manager, no distribution.
#
#   make image          builds all of it in the first stage
#   make image-test     puts what this machine has built into the last one, and looks at it
#
# STAGE says where the files come from: `build`, or `prebuilt` (target/image, as
# scripts/image-root.sh lays it out; the first stage runs that very script).
ARG STAGE=build

FROM rust:1.95-bookworm AS build
WORKDIR /src
RUN rustup target add wasm32-wasip2
COPY . .
ARG SOURCE_DATE_EPOCH=0
# The two profiles are those that are measured; paths are the same on every machine.
RUN cargo build --locked --profile dist -p warmlink \
    && cargo build --locked --profile guest --target wasm32-wasip2 \
        -p health -p users -p urls -p events -p redirect -p import -p clicks -p repair
RUN WARMLINK_BIN=target/dist/warmlink sh scripts/image-root.sh /out

FROM scratch AS prebuilt
COPY target/image/ /out/

FROM ${STAGE} AS files

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="warmlink" \
      org.opencontainers.image.description="A URL shortener of WASI components, and the host that keeps their connections warm" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
# Two layers: the host changes rarely, components often, and a node fetches what it lacks.
COPY --from=files /out/host/ /
COPY --from=files /out/app/ /app/
WORKDIR /app
# By number: a cluster that refuses root can tell without reading /etc/passwd.
USER 65532:65532
EXPOSE 3000 3001
STOPSIGNAL SIGTERM
ENTRYPOINT ["/warmlink"]
CMD ["up"]
