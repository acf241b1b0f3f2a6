//! JSON values that careless hands change: each stands in every place where a value may stand.

/// Deepest value that a client may put into an argument: the message, `params`, `arguments` and
/// one container of the case are levels of their own (security.md R8: 64).
const DEEPEST: usize = 60;

/// Numbers by their text.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "0.0",
    "-0.0",
    "1.0",
    "1.10",
    "1e2",
    "1E2",
    "1e+2",
    "1E-02",
    "1e-7",
    "-1.5e300",
    "5e-324",
    "1e400",
    "9007199254740993",
    "-9007199254740993",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "100000000000000000000.0",
    "3.141592653589793238462643383279",
];

/// Strings by their JSON text.
const STRINGS: &[&str] = &[
    r#""""#,
    r#"" ""#,
    r#""\u0041""#,
    r#""\/""#,
    r#""/""#,
    r#""\\""#,
    r#""\"""#,
    r#""\b\f\n\r\t""#,
    r#""\u0000""#,
    r#""\u001f\u007F""#,
    r#""\u00e9\u00E9é""#,
    r#""\ud83d\ude00""#,
    r#""😀""#,
    r#""\uD83D\uDE00 upper""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#""\u2028\u2029""#,
    "\"\u{2028}\u{2029}\"",
    "\"\u{feff}bom\"",
    "\"\u{10ffff}\u{7f}\u{80}\"",
    r#""日本語 русский עברית العربية""#,
    "\"e\u{301} \u{e9}\"",
    r#""{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}""#,
    r#""data: x\n\nevent: y\n\n""#,
    r#""</script><!--""#,
    r#""2026-07-28""#,
    r#""file:///a?uri=up+file:///b""#,
    r#""io.modelcontextprotocol/serverInfo""#,
];

/// Arrays, objects, and the rest.
const OTHERS: &[&str] = &[
    "null",
    "true",
    "false",
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[null]",
    "[[],{},[[]],\"\",0]",
    r#"[1,"1",1.0,true,null,1]"#,
    "[ 1 ,\t2 ]",
    r#"{ "a" : 1 , "b" : [ 1 , 2 ] }"#,
    r#"{"":1}"#,
    r#"{" ":1,"  ":2}"#,
    r#"{"\u006eame":"x","name2":"y"}"#,
    r#"{"a\/b":1,"a\\b":2,"a\"b":3,"\t":4}"#,
    r#"{"\ud83d\ude00":1,"é":2,"\u00e9e":3}"#,
    r#"{"b":1,"a":2,"10":3,"9":4,"B":5}"#,
    r#"{"__proto__":{"x":1},"constructor":null,"toString":"y"}"#,
    r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":["string","null"],"const":null}}}"##,
    r#"{"id":5,"method":"x","jsonrpc":"1.0","error":{"code":1},"params":[]}"#,
    r#"{"_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"x"}}"#,
    r#"{"resultType":"other","ttlMs":-1,"cacheScope":"public","result":{"resultType":"x"}}"#,
    r#"{"name":"other","uri":"file:///a","arguments":null,"cursor":"","level":"x"}"#,
    r#"{"a":null,"b":"","c":[],"d":{},"e":false,"f":0}"#,
    r#"{"requestState":"s","inputResponses":{"k":{}},"task":{},"taskId":"t"}"#,
];

/// Every value.
pub(crate) fn values() -> Vec<String> {
    let tables = [NUMBERS, STRINGS, OTHERS];
    let mut all: Vec<String> = tables.concat().iter().map(|text| (*text).to_owned()).collect();
    all.push(format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST)));
    all.push(deep(DEEPEST));
    all.push(format!("\"{}\"", r"long \u0041 text é ".repeat(2_000)));
    let members: Vec<String> = (0..200).rev().map(|n| format!("\"k{n}\":{n}.0")).collect();
    all.push(format!("{{{}}}", members.join(",")));
    all
}

/// A schema whose objects are nested so deep, each with a property of the next.
pub(crate) fn deep(depth: usize) -> String {
    // A property is two levels: `properties` and the schema in it.
    let open = r#"{"type":"object","x":1.0,"properties":{"p\u0061":"#.repeat(depth / 2);
    format!("{open}true{}", "}}".repeat(depth / 2))
}
