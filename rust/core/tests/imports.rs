//! Modules build on each other in one direction, and reach for nothing else.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module may use itself and what stands before it.
const ORDER: [&[&str]; 8] = [
    &["error"],
    &["random", "instructions", "schedule"],
    &["law"],
    &["table", "curve"],
    &["plan"],
    &["kernel"],
    &["sample"],
    &["order_statistics"],
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

/// A source file without its comments.
struct Source {
    path: String,
    module: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    collect(&root, &mut files);
    let sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap();
            let module = path.iter().next().unwrap().to_str().unwrap();
            let text = fs::read_to_string(file).unwrap();
            let code = text.lines().map(|line| line.split("//").next().unwrap());
            Source {
                path: path.to_str().unwrap().to_owned(),
                module: module.trim_end_matches(".rs").to_owned(),
                code: code.collect::<Vec<_>>().join("\n"),
            }
        })
        .collect();
    assert!(sources.len() > 20, "{} files in {root:?}", sources.len());
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

/// Modules of this crate that a file names, by `crate::` or, from the root of
/// a module, by `super::`.
fn used_modules(source: &Source) -> Vec<String> {
    let mut used = vec![];
    let is_root = !source.path.contains('/') || source.path.ends_with("/mod.rs");
    let prefixes: &[&str] = if is_root && source.module != "lib" {
        &["crate::", "super::"]
    } else {
        &["crate::", "super::super::"]
    };
    for prefix in prefixes {
        for (place, _) in source.code.match_indices(prefix) {
            let rest = &source.code[place + prefix.len()..];
            let names = match rest.strip_prefix('{') {
                Some(list) => first_names(list),
                None => vec![identifier(rest)],
            };
            used.extend(names);
        }
    }
    used
}

fn identifier(text: &str) -> String {
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_' || *c == '*';
    text.chars().take_while(is_word).collect()
}

/// The first name of each entry of a `{...}` list.
fn first_names(list: &str) -> Vec<String> {
    let mut depth = 1;
    let mut names = vec![];
    let mut at_start = true;
    for (place, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            c if c.is_whitespace() => {}
            _ if at_start => {
                names.push(identifier(&list[place..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn layer(module: &str) -> usize {
    let layer = ORDER.iter().position(|layer| layer.contains(&module));
    layer.unwrap_or_else(|| panic!("{module} has no place in the order"))
}

fn is_allowed(user: &str, used: &str) -> bool {
    // `super::*` in a file's own tests, and the crate's own names of `error`.
    if used == user || used == "*" || ["error", "Error", "Result"].contains(&used) {
        return true;
    }
    match (user, used) {
        ("control", _) => false,
        (_, "control") => ["sample", "order_statistics"].contains(&user),
        _ => layer(used) < layer(user),
    }
}

#[test]
fn imports_run_one_way() {
    for source in sources() {
        if source.module == "lib" {
            continue;
        }
        for used in used_modules(&source) {
            let allowed = is_allowed(&source.module, &used);
            assert!(allowed, "{} uses {used}", source.path);
        }
    }
}

#[test]
fn the_reader_of_imports_sees_them() {
    let source = Source {
        path: "table.rs".to_owned(),
        module: "table".to_owned(),
        code: "use crate::law::Law;\nuse crate::{plan::{Plan, Scope}, error};\nuse super::kernel;"
            .to_owned(),
    };
    assert_eq!(used_modules(&source), ["law", "plan", "error", "kernel"]);
    assert!(is_allowed("table", "law") && is_allowed("table", "error"));
    assert!(!is_allowed("table", "plan") && !is_allowed("table", "kernel"));
    assert!(!is_allowed("control", "random") && !is_allowed("plan", "control"));
    let sees = |module: &str, used: &str| {
        let of_module = |source: &Source| source.module == module;
        let mut sources = sources().into_iter().filter(of_module);
        sources.any(|source| used_modules(&source).iter().any(|name| name == used))
    };
    assert!(sees("sample", "kernel") && sees("kernel", "plan") && sees("plan", "table"));
    assert!(sees("table", "law") && sees("law", "error"));
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
            let may = source.module == "control" && word.eq_ignore_ascii_case("atomic");
            assert!(!has || may, "{} has {word}", source.path);
        }
    }
}

#[test]
fn unsafe_code_is_the_kernels_alone() {
    for source in sources() {
        let has = source.code.contains("unsafe");
        let may = source.module == "kernel";
        assert!(!has || may, "{} has unsafe code", source.path);
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
