# Build: everything compiled and installed from the hash-locked file into one virtual environment.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/gateway
COPY requirements.lock ./
RUN /opt/gateway/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY profiles ./profiles
COPY mappers ./mappers
COPY fhir_gateway ./fhir_gateway
RUN /opt/gateway/bin/pip install --no-deps . \
 && /opt/gateway/bin/python -m compileall -q /opt/gateway/lib

# Run: no compiler, no pip cache, not root.
FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/gateway --create-home gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_DATABASE_URL=sqlite:////var/lib/gateway/gateway.db
USER gateway
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway
EXPOSE 8080 2575
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["fhir-gateway"]
CMD ["serve", "--host", "0.0.0.0"]
