"""Serve a folder on this machine, compressed as any web host would: serve.py FOLDER [PORT]."""

import asyncio
import sys

from tornado.web import Application, StaticFileHandler


def site(folder):
    files = {"path": folder, "default_filename": "index.html"}
    return Application([("/(.*)", StaticFileHandler, files)], compress_response=True)


async def main(folder, port="8000"):
    site(folder).listen(int(port), "127.0.0.1")
    print(f"http://127.0.0.1:{port}/ (Ctrl-C stops it)", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
