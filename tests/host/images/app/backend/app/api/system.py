"""What machines ask: is it alive, is everything it needs alive, how much does it do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect

from .. import metrics

router = APIRouter()


@router.get("/live", tags=["system"])
async def live() -> dict[str, str]:
    """This process answers; nothing else is asked, so that a dead database does not get healthy processes killed."""
    return {"status": "ok"}


@router.get("/api/health", tags=["system"], responses={503: {"description": "A dependency failed."}})
async def health(request: Request, response: Response) -> dict[str, Any]:
    report: dict[str, Any] = await request.app.state.health.report()
    response.status_code = 200 if report["status"] == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return report


@router.get("/metrics", include_in_schema=False)
def prometheus() -> Response:
    content, content_type = metrics.exposition()
    return Response(content, headers={"Content-Type": content_type})


@router.websocket("/ws/")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            message = await socket.receive()
            if message.get("text") is not None:
                await socket.send_text(message["text"])
            elif message.get("bytes") is not None:
                await socket.send_bytes(message["bytes"])
            else:
                return
    except WebSocketDisconnect:
        return
