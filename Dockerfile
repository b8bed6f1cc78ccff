# The image of vane: both programs, roots of certificates and a default configuration; nothing else.
#
#   docker build -t vane .
#
# The builder needs Rust, a C compiler and Debian's ca-certificates; what lies in `prebuilt` is taken
# as it is, and then the builder needs no more than a shell. `cargo xtask image` builds so, without a
# registry. docs/container.md has the whole.

ARG BUILDER=rust:1.95.0-bookworm

FROM ${BUILDER} AS build
WORKDIR /src/vane
COPY . .
RUN ["sh", "container/root.sh", "/image"]

FROM scratch
# In this order the directories above the daemon's own are root's again.
COPY --from=build --chown=65532:0 /image/daemon/ /
COPY --from=build /image/system/ /

ENV PATH=/usr/bin VANE_MGMT_UNIX=/run/vaned/vaned.sock
USER 65532:65532
WORKDIR /etc/vaned
VOLUME /var/lib/vaned
EXPOSE 80/tcp 443/tcp 443/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/bin/vane", "ping"]
ENTRYPOINT ["/usr/bin/vaned"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="vane" \
      org.opencontainers.image.description="Edge proxy for TCP and HTTP" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
