//! Rust text as tokens, and what the rules ask of it: which paths it names, which functions, modules and types it has.
//!
//! Tokens, not text: comments are gone, string literals cannot be mistaken for code, and every brace has its pair.
//! Paths come out whole and absolute: `use super::{a, b::c}` in `src/store/mod.rs` is `crate::a` and `crate::b::c`.

use super::source::File;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The tokens of a file; one that is no Rust fails the test.
pub(crate) fn tokens(file: &File) -> Vec<TokenTree> {
    match file.text.parse::<TokenStream>() {
        Ok(stream) => stream.into_iter().collect(),
        Err(e) => panic!("{}: {e}", file.path),
    }
}

/// The same without code that only tests compile: items under `#[cfg(test)]` and `#[test]`.
pub(crate) fn without_tests(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let (item, is_test) = attributes(tokens, i);
        if is_test {
            i = end_of_item(tokens, item);
            continue;
        }
        match &tokens[i] {
            TokenTree::Group(group) => {
                let inner = without_tests(&inside(group));
                let mut copy = Group::new(group.delimiter(), inner.into_iter().collect());
                copy.set_span(group.span());
                kept.push(TokenTree::Group(copy));
            }
            token => kept.push(token.clone()),
        }
        i += 1;
    }
    kept
}

/// Where the item behind the attributes at `i` begins, and whether they make it a test's.
pub(crate) fn attributes(tokens: &[TokenTree], mut i: usize) -> (usize, bool) {
    let mut is_test = false;
    while is_punct(tokens.get(i), '#') {
        let Some(TokenTree::Group(group)) = tokens.get(i + 1) else { break };
        is_test |= is_test_attribute(&inside(group));
        i += 2;
    }
    (i, is_test)
}

/// Whether an attribute's content is `test` or a `cfg` that asks for it; `any` and `not` leave code for others.
pub(crate) fn is_test_attribute(content: &[TokenTree]) -> bool {
    let mut words = Vec::new();
    each_token(content, &mut |token| {
        if let TokenTree::Ident(word) = token {
            words.push(word.to_string());
        }
    });
    let has = |word: &str| words.iter().any(|w| w == word);
    match words.first().map(String::as_str) {
        Some("cfg") => has("test") && !has("not") && !has("any"),
        Some("test") => words.len() == 1,
        _ => false,
    }
}

/// Behind the item that begins at `i`: its body, its semicolon, or (a field, an argument) its comma.
fn end_of_item(tokens: &[TokenTree], i: usize) -> usize {
    let words = ["fn", "use", "impl", "mod", "struct", "enum", "trait", "const", "static", "type", "unsafe", "extern"];
    let is_item = tokens[i..].iter().take(3).any(|t| words.iter().any(|word| is_word(Some(t), word)));
    let end = tokens[i..].iter().position(|token| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';' || (!is_item && punct.as_char() == ','),
        _ => false,
    });
    end.map_or(tokens.len(), |end| i + end + 1)
}

/// Calls `see` for every token at every depth, and for each group before what is inside.
pub(crate) fn each_token(tokens: &[TokenTree], see: &mut dyn FnMut(&TokenTree)) {
    for token in tokens {
        see(token);
        if let TokenTree::Group(group) = token {
            each_token(&inside(group), see);
        }
    }
}

/// Calls `see` for every run of sibling tokens, outermost first, with the inline modules that it stands in. The braces of
/// a `use` tree are part of the path before them, not a run of their own.
pub(crate) fn each_run(tokens: &[TokenTree], module: &[String], see: &mut dyn FnMut(&[TokenTree], &[String])) {
    see(tokens, module);
    for (i, token) in tokens.iter().enumerate() {
        let TokenTree::Group(group) = token else { continue };
        if group.delimiter() == Delimiter::Brace && i >= 2 && (1..=2).all(|back| is_punct(tokens.get(i - back), ':')) {
            continue;
        }
        let mut inner = module.to_vec();
        if i >= 2 && is_word(tokens.get(i - 2), "mod") && group.delimiter() == Delimiter::Brace {
            inner.push(tokens[i - 1].to_string());
        }
        each_run(&inside(group), &inner, see);
    }
}

/// A path as the code names it, made absolute when it begins in this crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    pub(crate) path: Vec<String>,
    /// The name behind `as` in an import.
    pub(crate) alias: Option<String>,
}

/// Every path of two words or more, and every bare `crate` or `super` that is given another name.
pub(crate) fn paths(tokens: &[TokenTree], module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    each_run(tokens, module, &mut |run, module| {
        let mut i = 0;
        while i < run.len() {
            // `use` trees are read whole from their first word, so what follows `::` is never a beginning.
            let begins =
                matches!(run[i], TokenTree::Ident(_)) && !(i >= 1 && is_punct(run.get(i - 1), ':') && joined(run, i));
            i = if begins { tree(run, i, &[], module, &mut found) } else { i + 1 };
        }
    });
    found
}

/// Whether the two tokens before `i` are `::` behind a word (a leading `::` begins a path, outside of this crate).
fn joined(run: &[TokenTree], i: usize) -> bool {
    i >= 3 && is_punct(run.get(i - 2), ':') && matches!(run[i - 3], TokenTree::Ident(_))
}

/// Reads the path or `use` tree at `i`, behind `prefix`; answers where it ends.
fn tree(run: &[TokenTree], mut i: usize, prefix: &[String], module: &[String], found: &mut Vec<Named>) -> usize {
    let mut path = prefix.to_vec();
    let line = run[i].span().start().line;
    loop {
        match run.get(i) {
            Some(TokenTree::Ident(word)) => path.push(word.to_string()),
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => path.push("*".to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let inner = inside(group);
                for element in inner.split(|token| is_punct(Some(token), ',')).filter(|e| !e.is_empty()) {
                    tree(element, 0, &path, module, found);
                }
                return i + 1;
            }
            _ => break,
        }
        i += 1;
        if !(is_punct(run.get(i), ':') && is_punct(run.get(i + 1), ':')) {
            break;
        }
        i += 2;
    }
    let alias = is_word(run.get(i), "as").then(|| run.get(i + 1).map(ToString::to_string)).flatten();
    let renamed_root = alias.is_some() && path.iter().all(|word| matches!(word.as_str(), "crate" | "super" | "self"));
    if path.len() >= 2 || renamed_root {
        found.push(Named { line, path: absolute(&path, module), alias });
    }
    i
}

/// `self` and `super` answered by the module that they stand in.
fn absolute(path: &[String], module: &[String]) -> Vec<String> {
    if !matches!(path[0].as_str(), "crate" | "self" | "super") {
        return path.to_vec();
    }
    let mut whole: Vec<String> = vec!["crate".to_string()];
    if path[0] != "crate" {
        whole.extend(module.iter().cloned());
    }
    for word in path {
        match word.as_str() {
            "crate" | "self" => {}
            "super" if whole.len() > 1 => drop(whole.pop()),
            word => whole.push(word.to_string()),
        }
    }
    whole
}

/// The module path of a file below `src/`: `src/store/sqlite/mod.rs` is `store`, `sqlite`; `src/lib.rs` is the root.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(ToString::to_string).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// The siblings inside a group.
pub(crate) fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

/// Whether a token is this mark.
pub(crate) fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether a token is this word.
pub(crate) fn is_word(token: Option<&TokenTree>, word: &str) -> bool {
    matches!(token, Some(TokenTree::Ident(ident)) if ident == word)
}

#[test]
fn paths_are_whole_and_absolute() {
    let text = r#"
        use crate::{clock, task::{Task, span as s}, store::*};
        use super::super::work::Job;
        // use crate::comment;
        /// [`crate::doc`]
        fn f(x: &dyn crate::cli::Door) -> Vec<crate::http::A> { "crate::text"; self::near::g(); ::log::info!("x"); }
        mod inner { use super::y; fn h() { super::super::super::cron::due() } }
        use crate as root;
        fn i() { S { field: { crate::field::deep() } } }
        #[cfg(test)] mod tests { use crate::only_in_tests; }
    "#;
    let file = File::new("src/store/sqlite/mod.rs", text);
    let mut named: Vec<String> = paths(&without_tests(&tokens(&file)), &module_of(&file.path))
        .into_iter()
        .map(|named| named.path.join("::"))
        .collect();
    named.sort();
    let expected = [
        "crate",
        "crate::cli::Door",
        "crate::clock",
        "crate::cron::due",
        "crate::field::deep",
        "crate::http::A",
        "crate::store::*",
        "crate::store::sqlite::near::g",
        "crate::store::sqlite::y",
        "crate::task::Task",
        "crate::task::span",
        "crate::work::Job",
        "log::info",
    ];
    assert_eq!(named, expected);
}

#[test]
fn test_code_is_what_only_tests_compile() {
    let text =
        "#[cfg(test)] use a::b; #[cfg(all(test, unix))] fn f() { c::d() } struct S { #[cfg(test)] x: e::f, y: g::h }
        #[cfg(not(test))] fn g() { i::j() } #[test] fn t() { k::l() } #[derive(m::n)] #[cfg(unix)] struct T;";
    let found = paths(&without_tests(&tokens(&File::new("src/x.rs", text))), &[]);
    assert_eq!(found.iter().map(|n| n.path.join("::")).collect::<Vec<_>>(), ["g::h", "i::j", "m::n"]);
}
