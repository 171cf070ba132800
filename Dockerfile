# The service in a container, on CPU.
#   docker build -t gatekeeper .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 8080:8080 -v "$PWD/runs/demo/bundle:/bundle:ro" gatekeeper serve /bundle --host 0.0.0.0
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY gatekeeper ./gatekeeper
COPY models ./models
COPY calibration ./calibration
RUN python -m venv /opt/gatekeeper \
    && /opt/gatekeeper/bin/pip install --no-cache-dir \
        --extra-index-url https://download.pytorch.org/whl/cpu ".[otel]" \
    && /opt/gatekeeper/bin/python -m compileall -q /opt/gatekeeper/lib

FROM python:3.11-slim
RUN useradd --create-home --home-dir /var/lib/gatekeeper --uid 10001 gatekeeper
COPY --from=build /opt/gatekeeper /opt/gatekeeper
# All that is ever written goes below these two, so that the root may be read-only.
ENV PATH=/opt/gatekeeper/bin:$PATH \
    GATEKEEPER_HOME=/var/lib/gatekeeper \
    HOME=/var/lib/gatekeeper \
    TMPDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/gatekeeper
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/gatekeeper
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('GATEKEEPER_PORT', '8080') + '/healthz', timeout=2)"]
ENTRYPOINT ["gatekeeper"]
CMD ["--help"]
