"""Serve a folder on this machine, compressed as any web host would: serve.py FOLDER [PORT]."""

import asyncio
import contextlib
import re
import subprocess
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, StaticFileHandler


class Files(StaticFileHandler):
    def set_extra_headers(self, path):
        self.set_header("Access-Control-Allow-Origin", "*")  # as GitHub Pages and CDNs do


async def main(folder, port="8000"):
    files = {"path": folder, "default_filename": "index.html"}
    server = HTTPServer(Application([("/(.*)", Files, files)], compress_response=True))
    sockets = bind_sockets(int(port), "127.0.0.1")
    server.add_sockets(sockets)
    print(f"Serving http://127.0.0.1:{sockets[0].getsockname()[1]}/ until Ctrl-C", flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def running(folder):
    """Serve a folder from a process of its own; gives the address."""
    command = [sys.executable, __file__, folder, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield re.search(r"http://[^/]+", server.stdout.readline()).group()
        finally:
            server.terminate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
