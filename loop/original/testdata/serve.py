"""The original server: python serve.py PORT plain|encrypted. It ends with its standard input."""

import sys

import cyberdb

port, mode = sys.argv[1:]
server = cyberdb.Server()
server.start(host="127.0.0.1", port=int(port), password="123456", max_con=500, encrypt=mode == "encrypted")
sys.stdin.read()
