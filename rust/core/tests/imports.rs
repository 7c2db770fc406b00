//! The house rules of the source tree: imports run one way, between folders and between
//! files, a folder's `mod.rs` is a table of contents, a type's methods stay in its file, and
//! nothing reaches for the world outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules: each may use those that stand before it.
const ORDER: [&str; 21] = [
    "error",
    "room",
    "control",
    "random",
    "law",
    "table",
    "curve",
    "schedule",
    "simd",
    "drift",
    "plan",
    "draw",
    "search",
    "step",
    "pipeline",
    "sample",
    "order_statistics",
    "renewal",
    "fleet",
    "queue",
    "what_if",
];

const FORBIDDEN: [&str; 14] = [
    "pyo3",
    "std::fs",
    "std::net",
    "std::time",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "todo!",
];

/// A source file without its comments and its own tests.
struct Source {
    path: String,
    /// The module that the file is, such as `["curve", "sum"]`; empty for `lib.rs`.
    module: Vec<String>,
    is_contents: bool,
    code: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let mut module: Vec<String> = path
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        let is_contents = ["mod", "lib"].contains(&module[module.len() - 1].as_str());
        if is_contents {
            module.pop();
        }
        let code: Vec<&str> = text
            .split("#[cfg(test)]")
            .next()
            .unwrap()
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .collect();
        Self {
            path: path.to_owned(),
            module,
            is_contents,
            code: code.join("\n"),
        }
    }

    fn top(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    collect(&root, &mut files);
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap();
            Source::new(path.to_str().unwrap(), &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(sources.len() > 60, "{} files in {root:?}", sources.len());
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Paths that a file names from `crate`, `super` or `self` on, as absolute module paths.
fn named_paths(source: &Source) -> Vec<Vec<String>> {
    let mut paths = vec![];
    for start in ["crate::", "super::", "self::"] {
        for (place, _) in source.code.match_indices(start) {
            let before = source.code[..place].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            for path in expand(&source.code[place..]) {
                paths.push(absolute(source, &path));
            }
        }
    }
    paths
}

/// The paths of a use tree or of a path in the middle of code, such as `a::{b, c::d}`.
fn expand(text: &str) -> Vec<Vec<String>> {
    let mut path: Vec<String> = vec![];
    let mut rest = text;
    loop {
        let word: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '*')
            .collect();
        if word.is_empty() {
            break;
        }
        rest = &rest[word.len()..];
        path.push(word);
        let Some(after) = rest.strip_prefix("::") else {
            break;
        };
        rest = after;
        if let Some(list) = rest.strip_prefix('{') {
            let within = |tail: Vec<String>| path.iter().cloned().chain(tail).collect();
            return entries(list)
                .iter()
                .flat_map(|entry| expand(entry))
                .map(within)
                .collect();
        }
    }
    vec![path]
}

/// The entries of a list up to its closing brace.
fn entries(list: &str) -> Vec<String> {
    let (mut depth, mut entry, mut found) = (0, String::new(), vec![]);
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => found.push(std::mem::take(&mut entry)),
            c if c.is_whitespace() => {}
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                entry.push(c);
            }
        }
    }
    found.push(entry);
    found.retain(|entry| !entry.is_empty());
    found
}

fn absolute(source: &Source, path: &[String]) -> Vec<String> {
    // Outside of a table of contents `self` is the file, and `super` its folder.
    let mut at = source.module.clone();
    let mut words = path.iter().peekable();
    while let Some(word) = words.next_if(|word| ["crate", "super", "self"].contains(&word.as_str()))
    {
        match word.as_str() {
            "crate" => at.clear(),
            "super" => {
                at.pop();
            }
            _ => {}
        }
    }
    at.extend(words.cloned());
    at
}

/// Which file uses which others: the file of the longest module path that is one. A table
/// of contents uses the files that it lists.
fn uses(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let files: BTreeMap<&[String], &str> = sources
        .iter()
        .map(|source| (source.module.as_slice(), source.path.as_str()))
        .collect();
    let mut edges = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path != "lib.rs") {
        let mut used = BTreeSet::new();
        for path in named_paths(source) {
            let lengths = (1..=path.len()).rev();
            let file = lengths.filter_map(|n| files.get(&path[..n])).next();
            used.extend(file.map(|file| (*file).to_owned()));
        }
        if source.is_contents {
            let children = sources.iter().filter(|other| {
                other.module.len() == source.module.len() + 1
                    && other.module.starts_with(&source.module)
            });
            used.extend(children.map(|child| child.path.clone()));
        }
        used.remove(&source.path);
        edges.insert(source.path.clone(), used);
    }
    edges
}

/// A circle of files that use each other, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        file: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        trail: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|other| other == file) {
            return Some(trail[start..].to_vec());
        }
        if done.contains(file) {
            return None;
        }
        trail.push(file.to_owned());
        let used = edges.get(file).into_iter().flatten();
        let found = used
            .into_iter()
            .find_map(|other| visit(other, edges, trail, done));
        trail.pop();
        done.insert(file.to_owned());
        found
    }
    let mut done = BTreeSet::new();
    edges
        .keys()
        .find_map(|file| visit(file, edges, &mut vec![], &mut done))
}

fn layer(module: &str) -> usize {
    let layer = ORDER.iter().position(|other| *other == module);
    layer.unwrap_or_else(|| panic!("{module} has no place in the order"))
}

#[test]
fn folders_use_only_those_before_them() {
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        for path in named_paths(source) {
            let Some(used) = path.first() else { continue };
            // Names at the root of the crate are those of `error`.
            let used = if ["Error", "Result"].contains(&used.as_str()) {
                "error"
            } else {
                used.as_str()
            };
            let allowed = used == source.top() || layer(used) < layer(source.top());
            assert!(allowed, "{} uses {used}", source.path);
        }
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let circle = circle(&uses(&sources()));
    assert_eq!(circle, None);
}

#[test]
fn tables_of_contents_define_nothing() {
    const DEFINES: [&str; 9] = [
        "fn ",
        "struct ",
        "enum ",
        "trait ",
        "impl ",
        "const ",
        "static ",
        "type ",
        "macro_rules!",
    ];
    for source in sources().iter().filter(|source| source.is_contents) {
        for line in source.code.lines() {
            let line = line.trim_start().trim_start_matches("pub ");
            let defines = DEFINES.iter().any(|word| line.starts_with(word));
            assert!(!defines, "{} defines {line}", source.path);
        }
    }
}

#[test]
fn the_methods_of_a_type_stand_in_its_file() {
    for source in sources() {
        for line in source.code.lines().filter(|line| line.starts_with("impl")) {
            if line.contains(" for ") {
                continue;
            }
            let head = line.trim_start_matches("impl");
            // Generic parameters of the block come before the type.
            let name = match head.strip_prefix('<') {
                Some(generic) => after_generics(generic),
                None => head,
            };
            let name: String = name
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let is_here = ["struct", "enum"]
                .iter()
                .any(|kind| source.code.contains(&format!("{kind} {name}")));
            assert!(is_here, "{} has methods of {name}", source.path);
        }
    }
}

/// What follows the generic parameters whose opening bracket has been read.
fn after_generics(text: &str) -> &str {
    let mut depth = 1;
    for (place, c) in text.char_indices() {
        depth += i32::from(c == '<') - i32::from(c == '>');
        if depth == 0 {
            return &text[place + 1..];
        }
    }
    ""
}

#[test]
fn the_reader_of_imports_sees_them() {
    let code = "use crate::law::Law;\nuse crate::{plan::{Plan, Scope}, error};\n\
                use super::kernel;\nuse super::super::table::Table;\nfn f() { self::helper(); }\n\
                // use crate::sample;\n";
    let source = Source::new("simd/avx2.rs", code);
    let mut paths: Vec<String> = named_paths(&source)
        .iter()
        .map(|path| path.join("::"))
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "error",
            "law::Law",
            "plan::Plan",
            "plan::Scope",
            "simd::avx2::helper",
            "simd::kernel",
            "table::Table",
        ]
    );
    let used = uses(&sources());
    let sees = |user: &str, file: &str| used[user].contains(file);
    assert!(sees("sample/sampler.rs", "pipeline/mod.rs"));
    assert!(sees("simd/mod.rs", "simd/kernel.rs") && sees("simd/kernel.rs", "simd/scalar.rs"));
    assert!(!sees("simd/kernel.rs", "simd/mod.rs"));
}

#[test]
fn circles_of_two_and_of_three_files_are_found() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (user, used) in pairs {
            let used = (*used).to_owned();
            edges.entry((*user).to_owned()).or_default().insert(used);
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let two = circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert_eq!(two, Some(vec!["b".to_owned(), "c".to_owned()]));
    let three = circle(&edges(&[("a", "b"), ("b", "c"), ("c", "a")]));
    assert_eq!(three.map(|files| files.len()), Some(3));
    // A file of a folder that imports from its table of contents closes a circle.
    let sources = [
        Source::new("law/mod.rs", "mod gamma;\npub fn check() {}"),
        Source::new("law/gamma.rs", "use super::check;"),
    ];
    assert!(circle(&uses(&sources)).is_some());
}

#[test]
fn no_file_reads_writes_prints_or_looks_at_a_clock() {
    for source in sources() {
        for word in FORBIDDEN {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test]
fn atomics_and_locks_are_the_controls_alone() {
    for source in sources() {
        for word in ["atomic", "Atomic", "Mutex", "RwLock", "static mut"] {
            let has = source.code.contains(word);
            let may = source.top() == "control" && word.eq_ignore_ascii_case("atomic");
            assert!(!has || may, "{} has {word}", source.path);
        }
    }
}

#[test]
fn unsafe_code_is_in_the_instruction_sets_alone() {
    for source in sources() {
        let has = source.code.contains("unsafe");
        assert!(
            !has || source.top() == "simd",
            "{} has unsafe code",
            source.path
        );
    }
}

#[test]
fn transcendental_functions_come_from_libm() {
    // Those of std differ between platforms.
    for source in sources() {
        for method in [
            ".ln()",
            ".exp()",
            ".ln_1p()",
            ".exp_m1()",
            ".powf(",
            ".powi(",
            ".log2()",
            ".exp2()",
            ".log10()",
            ".sin()",
            ".cos()",
            ".mul_add(",
        ] {
            assert!(
                !source.code.contains(method),
                "{} has {method}",
                source.path
            );
        }
    }
}
