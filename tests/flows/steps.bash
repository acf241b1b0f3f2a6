# What the scripts of this folder share. Each of them walks the flows of one system that mcp-proxy takes
# over, line by line, against the binary MCP_PROXY_BIN, with curl and an official SDK client.
#   flow TEXT                  the line that the following steps belong to
#   api METHOD PATH [JSON] …   a request with KEY and for TENANT, more are flags of curl → STATUS BODY HEAD
#   is WHAT EXPECTED GOT, has WHAT PART GOT, lacks WHAT PART GOT    a step
#   later WHAT REASON          a step that cannot be made yet
#   finish                     the table, and status 1 if a step has failed
# Status 69: something that the scripts need is not installed.
set -euo pipefail
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${here%/tests/flows}
MCP_PROXY_BIN=${MCP_PROXY_BIN:-$root/target/debug/mcp-proxy}

absent() { echo "$1" >&2; exit 69; }
for program in curl node; do
  command -v "$program" >/dev/null || absent "$program is not installed"
done
[[ -x $MCP_PROXY_BIN ]] || absent "$MCP_PROXY_BIN is not there; build it, or name it in MCP_PROXY_BIN"
peers=$("$root/tests/peers/install" | tail -n 1)

folder=$(mktemp -d)
pids=()
# Ends what was started, by its id and the last one first, and takes the folder away.
leave() {
  local status=$? at
  trap - EXIT
  for ((at = ${#pids[@]} - 1; at >= 0; at--)); do
    kill "${pids[at]}" 2>/dev/null || true
    wait "${pids[at]}" 2>/dev/null || true
  done
  rm -rf "$folder"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME PROGRAM…: in the background; what it says goes to $folder/NAME.log. → PID
start() {
  local name=$1
  shift
  "$@" >"$folder/$name.log" 2>&1 </dev/null 7<&- 8>&- &
  PID=$!
  pids+=("$PID")
}

# state PROGRAM…: waits until it succeeds, at most 30 s; looks again every 50 ms.
state() {
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.05
  done
}

# The address at which a program says that it listens.
address() {
  local says='listening on http://127.0.0.1:[0-9]*'
  state grep -q "$says" "$folder/$1.log" || { cat "$folder/$1.log" >&2; exit 1; }
  grep -o "$says" "$folder/$1.log" | head -n 1 | cut -d' ' -f3
}

# saas NAME: an upstream that tells what reached it. → its address
saas() { start "$1" node "$peers/server_saas.mjs" 0; }

ENVIRONMENT=()   # NAME=VALUE of the proxy
proxied() { env -i PATH="$PATH" HOME="$folder" "${ENVIRONMENT[@]}" "$MCP_PROXY_BIN" "$@"; }
cli() { proxied --config "$folder/mcp-proxy.toml" "$@" 2>"$folder/cli.log"; }

# serve [FLAGS]: the proxy with the TOML of standard input. → BASE, PROXY (its id), OPERATOR (a key)
serve() {
  { printf '[server]\nlisten = "127.0.0.1:0"\n'; cat; } >"$folder/mcp-proxy.toml"
  OPERATOR=$(cli key create --operator --name ops --json | pick it.key)
  # `exec`, so that the id is the proxy's own.
  start proxy env -i PATH="$PATH" HOME="$folder" "${ENVIRONMENT[@]}" \
    "$MCP_PROXY_BIN" serve --config "$folder/mcp-proxy.toml" "$@"
  PROXY=$PID
  BASE=$(address proxy)
}

# descendants PID: the ids of all processes below one.
descendants() {
  local child
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
    echo "$child"
    descendants "$child"
  done
}

# pick EXPRESSION: of the JSON `it` on standard input; text as it is, all else as JSON. One process does
# this for the whole script, each request one line: expression and document, as JSON texts.
coproc PICK {
  exec node -e '
    require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
      let got;
      try {
        const [expression, text] = line.split(" ").map((part) => Buffer.from(part, "base64").toString());
        got = new Function("it", `return (${expression})`)(JSON.parse(text));
      } catch (error) { got = `(${error.message})`; }
      console.log(Buffer.from(typeof got === "string" ? got : JSON.stringify(got) ?? "nothing").toString("base64"));
    })'
}
pids+=("$PICK_PID")
exec 7<&"${PICK[0]}" 8>&"${PICK[1]}"
pick() {
  local got
  printf '%s %s\n' "$(base64 -w0 <<<"$1")" "$(base64 -w0)" >&8
  read -r got <&7
  base64 -d <<<"$got"
}
of() { pick "$1" <<<"$BODY"; }

KEY='' TENANT='' REQUEST=''
api() {
  local method=$1 path=$2 body=${3:-}
  shift $(($# < 3 ? $# : 3))
  REQUEST="$method $path"
  local args=(-sS --max-time 60 -o "$folder/body" -D "$folder/head" -w '%{http_code}' -X "$method")
  [[ -z $KEY ]] || args+=(-H "Authorization: Bearer $KEY")
  [[ -z $TENANT ]] || args+=(-H "X-Tenant: $TENANT")
  [[ -z $body ]] || args+=(-H 'Content-Type: application/json' --data-binary "$body")
  : >"$folder/body"
  STATUS=$(curl "${args[@]}" "$@" "$BASE$path" 2>"$folder/curl.log") || STATUS=$(<"$folder/curl.log")
  BODY=$(<"$folder/body")
  HEAD=$(tr -d '\r' <"$folder/head")
}
# as KEY [TENANT]: whose the following requests are.
as() { KEY=$1 TENANT=${2:-}; }
header() { grep -i "^$1:" <<<"$HEAD" | head -n 1 | cut -d' ' -f2-; }

# offers METHOD PATH: whether the API has such a route, as its description says.
offers() {
  [[ -s $folder/openapi ]] || { curl -sS -H "Authorization: Bearer $OPERATOR" "$BASE/api/v1/openapi.json" >"$folder/openapi"; }
  [[ $(pick "it.paths[\"$2\"]?.$1 !== undefined" <"$folder/openapi") == true ]]
}

# sdk CLIENT ERA DOOR PLAN: an official client with KEY; see tests/peers/plan.mjs. → BODY, its report
sdk() {
  REQUEST="$1 ($2) at $3"
  BODY=$(MCP_KEY=$KEY node "$peers/$1.mjs" "$BASE$3" "$2" "$4" 2>"$folder/sdk.log") || true
}

FLOW='' rows=() counts=(0 0 0)
flow() { FLOW=$1; printf '\n%s\n' "$FLOW"; }
row() { rows+=("$FLOW"$'\t'"$REQUEST"$'\t'"$1"); }
good() { printf '  ok  %s\n' "$1"; counts[0]=$((counts[0] + 1)); row "ok: $1"; }
bad() {
  printf '  FAILED %s: expected %s, got %s\n' "$1" "$2" "${3:0:600}"
  counts[1]=$((counts[1] + 1)); row "FAILED: $1"
}
later() { printf '  later %s: %s\n' "$1" "$2"; counts[2]=$((counts[2] + 1)); REQUEST='-'; row "later: $2"; }
is() { if [[ $3 == "$2" ]]; then good "$1"; else bad "$1" "$2" "$3"; fi; }
has() { if [[ $3 == *"$2"* ]]; then good "$1"; else bad "$1" "something with $2" "$3"; fi; }
lacks() { if [[ $3 != *"$2"* ]]; then good "$1"; else bad "$1" "nothing with $2" "$3"; fi; }

# A cell of the table, cut or filled to a width.
cell() { local text=${1:0:$2}; printf '%s%*s' "$text" $(($2 - ${#text})) ''; }
finish() {
  local line request outcome before=''
  printf '\n%s | %s | %s\n' "$(cell 'line of the flows' 52)" "$(cell 'our request' 50)" outcome
  printf '%.0s-' {1..160}; echo
  for one in "${rows[@]}"; do
    IFS=$'\t' read -r line request outcome <<<"$one"
    [[ $line != "$before" ]] && before=$line || line=''
    printf '%s | %s | %s\n' "$(cell "$line" 52)" "$(cell "$request" 50)" "$outcome"
  done
  printf '\n%d ok, %d failed, %d later\n' "${counts[@]}"
  ((counts[1] == 0)) || { tail -n 20 "$folder/proxy.log" >&2; exit 1; }
}
