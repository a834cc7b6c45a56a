"""comux 0.2.0, the Python package that comux succeeds, as its own documentation says to run it.

Takes what it has decoded in batches, and sends each packet on. It is given every advantage: it does
no analysis, and where the loop of its documentation would end with an error, this one goes on. Only
two things of it are missing here: the query for its cameras in MongoDB, which is answered in its
place, and its control part, which its package does not hold.

    previous.py BOOTSTRAP_SERVERS CODEC CAMERA…

Prints `ready` when it waits for packets, and runs until it is killed.
"""

import sys

import comux


def main():
    servers, codec, *cameras = sys.argv[1:]
    comux.retrieve_cam_ids = lambda **_: cameras
    all_of_them = comux.Comux("bench", "", "", {}, log_level="ERROR")
    all_of_them.setup_consumers([servers], max_offset_diff=20)
    all_of_them.setup_decoders(de_codec=codec)
    all_of_them.setup_producer([servers])
    all_of_them.start()
    print("ready", flush=True)
    while True:
        for taken in all_of_them.get_batch(timeout=1):
            # Nothing came, or it made no picture of it.
            if taken is None or taken[2] is None:
                continue
            camera, index, _ = taken
            try:
                # Without results: headers other than none end in an error (`Comux.send` puts numbers
                # as names into what it iterates over).
                all_of_them.send(camera, index, None)
            except KeyError:
                # It takes the newest first, and keeps 20 packets: this one is gone already.
                pass


main()
