"""The version of topthree; a test compares it with the client's and the changelog's."""

VERSION = "0.1.0"
