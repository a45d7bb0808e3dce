"""Where pictures come from: files, folders, videos, cameras and streams, behind one protocol."""
