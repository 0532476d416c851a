//! Forms that real PHP writes and inserts: `http_build_query` of many shapes, and what people put together by hand.
//!
//! PHP is its own witness: beside each form it inserts the `json_encode` of the same array, and both rows must decode to
//! the same typed value. What would be found here: an encoding of PHP's that we only believe to know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

use installation::{Installation, to_its_end};
use rowmill::{Codec, decode};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::process::Command;

/// Everything that the shapes below use. What PHP leaves out of a form (nulls, empty arrays) has a default.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Param {
    uid: u64,
    uids: Vec<i64>,
    content: String,
    urgent: Option<bool>,
    ratio: f64,
    note: Option<String>,
    address: BTreeMap<String, String>,
    lines: Vec<Line>,
    by_day: BTreeMap<u32, Vec<String>>,
    deep: BTreeMap<String, BTreeMap<String, BTreeMap<String, u8>>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Line {
    article: String,
    count: u32,
}

/// Arrays in PHP, each the param of a task. Numbers have few digits: a form gets 14 of them (`precision`), JSON 17.
const SHAPES: &str = r#"<?php
$shapes = [
    ['uid' => 4, 'uids' => [6, 34], 'content' => 'xxx'],
    ['uid' => PHP_INT_MAX, 'uids' => [PHP_INT_MIN, 0, -1]],
    ['uids' => [6]],
    ['uids' => array_filter([6, 0, 34])],
    ['uids' => []],
    ['uids' => range(1, 1000)],
    ['content' => ''],
    ['content' => "it's \"5\" o'clock & “tea” = 100% + [x] #;\\ \t\r\n\0~"],
    ['content' => '中文, русский, 🚂'],
    ['content' => '12'],
    ['content' => '1e3', 'note' => '007'],
    ['urgent' => true],
    ['urgent' => false],
    ['urgent' => null, 'note' => null],
    ['ratio' => 1.5], ['ratio' => 0.1], ['ratio' => 1e25], ['ratio' => -2.5e-7], ['ratio' => 3],
    ['address' => ['street' => 'Main & 5th', 'zip' => '01234', 'a.b c' => 'x', '7' => 'seven']],
    ['lines' => [['article' => 'a b', 'count' => 2], ['article' => '', 'count' => 0]]],
    ['lines' => [(object) ['article' => 'x', 'count' => 1]]],
    ['by_day' => ['20261121' => ['a', 'b'], '20261122' => ['c']]],
    ['deep' => ['a' => ['b' => ['c' => 1, 'd' => 2], 'e' => ['f' => 3]]]],
];
"#;

/// Inserts each shape as JSON and as two forms: in the two ways of PHP to encode a space. A list with gaps would be an
/// object in JSON, so its gaps are closed there.
const INSERT: &str = r#"
$insert = $db->prepare('INSERT INTO queue (job, codec, param) VALUES (?, ?, ?)');
foreach ($shapes as $i => $shape) {
    $forms = [http_build_query($shape), http_build_query($shape, '', '&', PHP_QUERY_RFC3986) . '&'];
    if (isset($shape['uids'])) {
        $shape['uids'] = array_values($shape['uids']);
    }
    foreach ([['json', json_encode($shape)], ['form', $forms[0]], ['form', $forms[1]]] as [$codec, $param]) {
        $values = ["shape $i", $codec, $param];
        INSERT_THEM
    }
}
"#;

/// Runs PHP in the folder of an installation, and looks at the rows shape by shape.
fn php_is_understood(open: &str, insert: &str) {
    if !needs::tool("php")
        || !needs::extension(
            "php-sqlite3",
            "php",
            "exit((int) !(extension_loaded('pdo_sqlite') && extension_loaded('sqlite3')));",
        )
    {
        return;
    }
    let here = Installation::new("");
    let settings = "$db->exec('PRAGMA busy_timeout = 5000'); $db->exec('PRAGMA wal_autocheckpoint = 0');\n";
    here.write("insert.php", &format!("{SHAPES}{open}\n{settings}{}", INSERT.replace("INSERT_THEM", insert)));
    let mut php = Command::new("php");
    php.arg("insert.php").current_dir(here.folder());
    assert_eq!(to_its_end(php).well(), "");

    let conn = here.sql();
    let mut query = conn.prepare("SELECT job, codec, param FROM task ORDER BY id").unwrap();
    let rows: Vec<(String, String, String)> =
        query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3 * 24);
    for shape in rows.chunks(3) {
        let typed: Vec<Result<Param, String>> =
            shape.iter().map(|(_, codec, param)| decode(Codec::from_word(codec).unwrap(), param.as_bytes())).collect();
        assert!(typed[0].is_ok() && typed[1] == typed[0] && typed[2] == typed[0], "{shape:#?}\n{typed:#?}");
    }
    let values: Vec<Param> = rows.chunks(3).map(|s| decode(Codec::Json, s[0].2.as_bytes()).unwrap()).collect();
    assert!(values[3].uids == [6, 34] && values[12].urgent == Some(false) && values[22].by_day.len() == 2);
}

#[test]
fn forms_by_pdo() {
    let open = "$db = new PDO('sqlite:rowmill.db', options: [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);";
    php_is_understood(open, "$insert->execute($values);");
}

#[test]
fn forms_by_the_class_sqlite3() {
    let open = "$db = new SQLite3('rowmill.db'); $db->enableExceptions(true);";
    let insert = "foreach ($values as $n => $value) { $insert->bindValue($n + 1, $value); } $insert->execute(); $insert->reset();";
    php_is_understood(open, insert);
}

/// PHP's own reading of forms by hand, as its `json_encode`, against ours into a value without a type.
#[test]
fn forms_by_hand_read_as_php_reads_them() {
    if !needs::tool("php") {
        return;
    }
    let here = Installation::empty();
    let forms = [
        "uid=4&uids[]=6&uids[]=34&content=xxx",
        "uid=4&uids[]=6&uids[]=34&content=xxx&",
        "uids%5b%5d=6&uids%5B%5D=34",
        "uids[0]=6&uids[2]=34",
        "uids[]=1&uids[5]=2&uids[]=3",
        "uids[5]=1&uids[0]=2&uids[]=3",
        "uids[3]=1&uids[3]=2&uids[]=3",
        "a[][x]=1&a[][y]=2&a[1][z]=3",
        "a[b][c]=1&a[b][d][]=2&a[b][d][]=3",
        "a[01]=1&a[007]=2&a[b[c]=3",
        "a=1&a=2&flag&empty=&&x=%zz%4&y=1+1%2B1%20=1",
        "a[ b]=1&a[c ]=2&%61%5Bd%5D=3",
        "0=x&1=y",
    ];
    here.write("forms", &forms.join("\n"));
    here.write(
        "read.php",
        "<?php foreach (file('forms', FILE_IGNORE_NEW_LINES) as $form) { parse_str($form, $read); echo json_encode($read), \"\\n\"; }",
    );
    let mut php = Command::new("php");
    php.arg("read.php").current_dir(here.folder());
    let said = to_its_end(php).well();
    for (form, json) in forms.iter().zip(said.lines()) {
        let wanted: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(decode(Codec::Form, form.as_bytes()), Ok(wanted), "{form}");
    }
    assert_eq!(said.lines().count(), forms.len());
}
