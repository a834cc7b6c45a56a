#!/usr/bin/env bash
# Makes the pictures of the book: frame.jpg, a frame of the footage with what a real run of comux
# said of it, and flow.svg, the data flow. `make pictures` calls it with what it needs:
#
#   docs/pictures.sh COMUX PLUGINS      the binary, and the directory of the compiled plugins
set -euo pipefail
comux=$(realpath "$1") plugins=$(realpath "$2")
cd "$(dirname "$0")/.."
images=docs/src/images clip=$PWD/tests/media/pedestrians-bframes.mp4
records=240 width=768     # of the clip
shown=18300000            # the frame of the picture: its presentation time in microseconds

work=$(mktemp -d)
broker='' others=()
cleanup() {
    # The broker last, so that the others end in order.
    for process in ${others[@]+"${others[@]}"} $broker; do
        kill "$process" && wait "$process"
    done 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# --- What comux says of each frame ---------------------------------------------------------------

cat >"$work/comux.toml" <<TOML
[runtime]
state_dir = "$work/state"
[kafka]
bootstrap_servers = "localhost"
[[cameras]]
id = "gate-7"
mode = "every-frame"
start = "beginning"
drain_after_ms = 5000             # so that a busy machine makes the same picture
limits = { deadline_ms = 2000 }
plugins = [
    { source = "$plugins/motion.wasm", config = { min_cells = 3 } },
    { source = "$plugins/line-counter.wasm", config = { lines = [
        { name = "street", from = [0.5, 0.0], to = [0.5, 1.0] } ] } },
]
TOML
# Waits until file $2 has $1 lines.
wait_for() {
    for _ in {1..600}; do [ "$(wc -l <"$2")" -ge "$1" ] && return; sleep 0.1; done
    echo "$2 has no $1 lines after a minute" >&2
    exit 1
}
"$comux" broker --config "$work/comux.toml" >"$work/address" & broker=$!
wait_for 1 "$work/address"
kafka=$(cat "$work/address")
sed -i "s/\"localhost\"/\"$kafka\"/" "$work/comux.toml"
"$comux" run --config "$work/comux.toml" --log error & others+=($!)
"$comux" publish "$clip" --camera gate-7 --bootstrap-servers "$kafka"
"$comux" watch --config "$work/comux.toml" --from-beginning --json >"$work/results" & others+=($!)
wait_for "$records" "$work/results"
[ "$(grep -c '"status":"analysed"' "$work/results")" = "$records" ] ||
    { echo "not every frame was analysed" >&2; exit 1; }
record=$(jq -c --arg shown "$shown" 'select(.comux.pts == $shown)' "$work/results")

# --- The frame, with what was said of it ---------------------------------------------------------

# The frame is enlarged, so that letters are sharp; the headers have a panel on its right.
wide=864 tall=648 panel=576
font=$(fc-match -f '%{file}' 'DejaVu Sans Mono')
bold=$(fc-match -f '%{file}' 'DejaVu Sans Mono:bold')

# A box for each moving region; the line, which is in the middle, and its counts.
jq -r --arg font "$bold" --argjson wide "$wide" --argjson width "$width" '
    def tag(x; y; size; color; text): "drawtext=fontfile=\($font):expansion=none:text=\(text):" +
        "x=\(x):y=\(y):fontsize=\(size):fontcolor=black:box=1:boxcolor=\(color):boxborderw=4";
    ($wide / $width) as $scale | .headers
    | (.["motion.regions"] | fromjson[] | (.x, .y, .width, .height) *= $scale
        | "drawbox=\(.x):\(.y):\(.width):\(.height):0xffb000:3",
          tag(.x + 4; .y - 17; 17; "0xffb000"; .score)),
      (.["line-counter.counts"] | fromjson | to_entries[]
        | "drawbox=iw/2-2:0:4:ih:0x00e5ff:fill",
          tag($wide / 2 + 14; 14; 22; "0x00e5ff"; "\(.key)  in \(.value.in)  out \(.value.out)"))
' <<<"$record" >"$work/drawn"

# The headers as they came, with long ones broken into lines.
headers() {
    jq -r "$1"' | to_entries[] | if .key + .value | length < 32
        then "\(.key + " " * 21 | .[:21])\(.value)"
        else .key, (.value | gsub(",(?=\"height|{|[a-z]+-)"; ",\n  ") | "  \(.)") end
    ' <<<"$record"
}
headers '.headers | with_entries(select(.key | contains(".")))' >"$work/plugins"
headers '.comux | with_entries(.key |= "comux-\(.)")' >"$work/comux"
text() { # file, top, color
    echo "drawtext=fontfile=$font:expansion=none:textfile=$work/$1:x=$((wide + 18)):y=$2"
    echo ":fontsize=21:line_spacing=5:fontcolor=$3"
}
{
    echo "select=gte(t*1000000+1\\,$shown),scale=$wide:$tall:flags=lanczos"
    sed 's/^/,/' "$work/drawn"
    echo ",pad=iw+$panel:ih:0:0:0x0d1117,"
    text plugins 18 0xffc966
    echo ,
    text comux h-th-18 0x9ecbff
} | tr -d '\n' >"$work/filters"
mkdir -p "$images"
ffmpeg -v error -y -copyts -i "$clip" -filter_script:v "$work/filters" -frames:v 1 -q:v 5 \
    "$images/frame.jpg"

# --- The data flow -------------------------------------------------------------------------------

dot -Tsvg docs/flow.dot -o "$images/flow.svg"
ls -l "$images"
