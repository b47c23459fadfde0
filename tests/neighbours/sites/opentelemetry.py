"""OpenTelemetry: each request makes a span without tokens."""

from __future__ import annotations

import os
from typing import Any

from django.urls import path
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.neighbours import views
from tests.neighbours.servers import ask
from tests.neighbours.site import TOKEN_START, Browser, case

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))


def fail(request: Any) -> None:
    raise RuntimeError(views.name_of(request.user))


class Instrumented:
    """Instrument Django within the block: the instrumentation inserts its middleware into the settings."""

    def __init__(self, **environment: str) -> None:
        self.environment = environment

    def __enter__(self) -> None:
        os.environ.update(self.environment)
        exporter.clear()
        DjangoInstrumentor().instrument(tracer_provider=provider)

    def __exit__(self, *error: object) -> None:
        DjangoInstrumentor().uninstrument()
        for name in self.environment:
            del os.environ[name]


urlpatterns = [*views.urlpatterns, path("fail/", fail)]
PAGES = ("/who/", "/who/async/", "/who/drf/", "/who/required/")


def spans() -> list[Any]:
    return [span for span in exporter.get_finished_spans() if span.kind.name == "SERVER"]


def leaks(*tokens: str) -> list[str]:
    text = "\n".join(span.to_json() for span in exporter.get_finished_spans())
    return [token for token in tokens if token in text]


@case([[200] * 4, [200] * 4, []])
def each_request_is_a_span_without_tokens(browser: Browser) -> Any:
    browser.sign_in()
    with Instrumented():
        statuses = []
        for page in PAGES:
            browser.outlive_access_token()
            statuses.append(ask(browser, page))
        codes = [span.attributes["http.status_code"] for span in spans()]
        return [statuses, codes, leaks(*browser.tokens(), TOKEN_START)]


@case([500, [500], []])
def an_error_is_a_span_without_tokens(browser: Browser) -> Any:
    browser.sign_in()
    with Instrumented():
        status = ask(browser, "/fail/")
        return [status, [span.attributes["http.status_code"] for span in spans()], leaks(*browser.tokens())]


@case([200, True, []])
def captured_headers_hold_no_token_if_sanitized(browser: Browser) -> Any:
    browser.sign_in()
    browser.outlive_access_token()
    captured = {
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": ".*",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "cookie,set-cookie,authorization",
    }
    with Instrumented(**captured):
        status = ask(browser, "/who/")
        (span,) = spans()
        return [status, any("cookie" in name for name in span.attributes), leaks(*browser.tokens(), TOKEN_START)]
