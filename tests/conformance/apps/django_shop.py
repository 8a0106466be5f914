"""A Django application with one of everything that reaches the wire; it has no WebSockets.

Nor a stream that breaks off: Django leaves the body's file open behind one, on any server.
"""

import asyncio

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import (
    FileResponse,
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of-a-test",
    ALLOWED_HOSTS=["*"],
    DEFAULT_CHARSET="utf-8",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.http.ConditionalGetMiddleware",
    ],
    LOGGING_CONFIG=None,
    USE_TZ=True,
)


@require_GET
async def hello(request):
    return HttpResponse("hello", content_type="text/plain")


def threaded(request):
    return HttpResponse("hello from a thread")


@csrf_exempt
async def show(request, rest):
    names = ("REQUEST_METHOD", "PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "SERVER_NAME")
    said = {name: request.META.get(name) for name in names}
    fields = dict(request.headers.items())
    return JsonResponse(said | {"scheme": request.scheme, "headers": fields})


@csrf_exempt
async def echo(request):
    return HttpResponse(request.body, content_type=request.headers.get("content-type"))


@csrf_exempt
async def upload(request):
    if not request.FILES:
        return JsonResponse({"bytes": len(request.body)})
    file = request.FILES["data"]
    return JsonResponse({"name": file.name, "bytes": len(file.read())}, status=201)


async def redirect(request):
    return HttpResponseRedirect("/hello?from=redirect")


async def cookies(request):
    response = JsonResponse(request.COOKIES)
    response.set_cookie("a", "1", httponly=True, samesite="Strict", secure=True)
    response.set_cookie("b", "2")
    return response


async def stream(request):
    async def pieces():
        for number in range(3):
            await asyncio.sleep(0)
            yield f"piece {number}\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


async def fails(request):
    raise ValueError("secret")


async def large(request):
    return HttpResponse(bytes(range(256)) * 4096, content_type="application/octet-stream")


def file(request):
    return FileResponse(open(__file__, "rb"), filename="shop.py", as_attachment=True)


async def status(request, code):
    return HttpResponse(b"" if code in (204, 304) else b"x", status=code)


VIEWS = [hello, threaded, echo, upload, redirect, cookies, stream, fails, large, file]
urlpatterns = [
    *(path(view.__name__, view) for view in VIEWS),
    path("show/<path:rest>", show),
    path("status/<int:code>", status),
]
django.setup()
app = get_asgi_application()
