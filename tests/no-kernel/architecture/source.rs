//! Every path in Rust source text, and what it leads to.
//!
//! A lexer is enough for that: `use` trees, paths in code and in the bodies of macros are all identifiers with `::` between
//! them. What is only there for tests (`#[cfg(test)]`) is left out.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

/// The files of the workspace, by their paths in it.
pub type Files = BTreeMap<String, String>;

/// A path as it is written: its segments and its line.
#[derive(Clone, Debug)]
struct Written {
    segments: Vec<String>,
    line: usize,
    /// Of a `use`: what it is called here, `*` for all that is there.
    name: Option<String>,
    /// Whether this is a `pub use`.
    public: bool,
}

/// A module: a file, or a part of one.
#[derive(Debug, Default)]
struct Module {
    file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    uses: Vec<Written>,
    paths: Vec<Written>,
}

/// What a path leads to: a module or a thing in it, or something outside of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Module(usize),
    Outside(Vec<String>),
}

/// One part of the program that names another one.
#[derive(Clone, Debug)]
pub struct Reference {
    pub from: usize,
    pub to: Target,
    pub line: usize,
    pub text: String,
    /// Whether it only hands on what is elsewhere: `pub use`.
    pub handed_on: bool,
}

/// All modules of the workspace's crates.
#[derive(Debug, Default)]
pub struct Program {
    modules: Vec<Module>,
    names: Vec<String>,
    crates: BTreeMap<String, usize>,
}

/// Macros that use standard output or standard error.
const PRINTERS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

impl Program {
    /// Reads crates, each with its name and its first file.
    pub fn read(files: &Files, crates: &[(&str, &str)]) -> Self {
        let mut program = Self::default();
        for (name, file) in crates {
            let root = program.module((*name).to_owned(), file, None);
            program.crates.insert((*name).to_owned(), root);
            program.read_file(files, root);
        }
        program
    }

    fn module(&mut self, name: String, file: &str, parent: Option<usize>) -> usize {
        self.modules.push(Module { file: file.to_owned(), parent, ..Module::default() });
        self.names.push(name);
        self.modules.len() - 1
    }

    fn read_file(&mut self, files: &Files, module: usize) {
        let file = self.modules[module].file.clone();
        let text = files.get(&file).unwrap_or_else(|| panic!("{file} is not there"));
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        self.scan(files, module, tokens);
    }

    fn scan(&mut self, files: &Files, module: usize, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut public = false;
        while at < tokens.len() {
            if is_for_tests(&tokens[at..]) {
                at = end_of_item(&tokens, at);
                continue;
            }
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(files, module, group.stream()),
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    match (name.as_str(), &tokens[at + 1..]) {
                        ("pub", rest) => {
                            public = true;
                            // pub(crate)
                            at += usize::from(
                                matches!(rest.first(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis),
                            ) + 1;
                            continue;
                        }
                        ("mod", [TokenTree::Ident(name), TokenTree::Group(group), ..]) => {
                            let child = self.child(module, name, None);
                            self.scan(files, child, group.stream());
                            at += 2;
                        }
                        ("mod", [TokenTree::Ident(name), TokenTree::Punct(end), ..]) if end.as_char() == ';' => {
                            let child = self.child(module, name, Some(files));
                            self.read_file(files, child);
                            at += 2;
                        }
                        ("use", rest) => {
                            let length = rest.iter().take_while(|token| !is_punct(token, ';')).count();
                            let mut uses = Vec::new();
                            use_tree(&rest[..length], &mut Vec::new(), &mut uses);
                            let uses = uses.into_iter().map(|written| Written { public, ..written });
                            self.modules[module].uses.extend(uses);
                            at += length;
                        }
                        (printer, [TokenTree::Punct(mark), ..])
                            if mark.as_char() == '!' && PRINTERS.contains(&printer) =>
                        {
                            let segments = ["std", "io", printer].map(str::to_owned).to_vec();
                            self.modules[module].paths.push(written(segments, ident));
                        }
                        _ => {
                            let (segments, length) = path(&tokens[at..]);
                            if segments.len() > 1 {
                                self.modules[module].paths.push(written(segments, ident));
                            }
                            at += length - 1;
                        }
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            public = false;
            at += 1;
        }
    }

    /// A module in another one: with files, it has a file of its own.
    fn child(&mut self, parent: usize, name: &Ident, files: Option<&Files>) -> usize {
        let name = name.to_string();
        let file = self.modules[parent].file.clone();
        let file = match files {
            None => file,
            Some(files) => {
                let stem = ["/mod.rs", "/lib.rs", "/main.rs"].iter().find_map(|end| file.strip_suffix(end));
                let folder = stem.unwrap_or_else(|| file.trim_end_matches(".rs"));
                let places = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
                let there = places.iter().find(|place| files.contains_key(*place));
                there.unwrap_or_else(|| panic!("{file}: neither of {places:?} is there")).clone()
            }
        };
        let child = self.module(format!("{}::{name}", self.names[parent]), &file, Some(parent));
        self.modules[parent].children.insert(name, child);
        child
    }

    /// The path of a module, which begins with its crate: `ipvsadm_rs::host::lock`.
    pub fn name(&self, module: usize) -> &str {
        &self.names[module]
    }

    /// The file that a module is in.
    pub fn file(&self, module: usize) -> &str {
        &self.modules[module].file
    }

    /// All that modules name outside of themselves.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for (from, module) in self.modules.iter().enumerate() {
            for written in module.uses.iter().chain(&module.paths) {
                let reference = |to| Reference {
                    from,
                    to,
                    line: written.line,
                    text: written.segments.join("::"),
                    handed_on: written.public && written.name.is_some(),
                };
                found.extend(self.resolve(from, &written.segments).map(reference));
            }
        }
        found
    }

    /// What a path leads to, written in this module; None for what is the module's own, such as its types.
    fn resolve(&self, module: usize, segments: &[String]) -> Option<Target> {
        self.find(module, segments, &mut BTreeSet::new())
    }

    fn find(&self, module: usize, path: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Target> {
        let (first, mut rest) = path.split_first()?;
        let mut here = match first.as_str() {
            "crate" => self.root(module),
            "self" => module,
            "super" => self.modules[module].parent?,
            name => {
                if let Some(found) = self.within(module, name, rest, seen) {
                    return Some(found);
                }
                // A single word is not a path to a crate, but for a `use`.
                return match self.crates.get(name) {
                    Some(root) => self.descend(*root, rest, seen),
                    None => Some(Target::Outside(path.to_vec())),
                };
            }
        };
        while rest.first().is_some_and(|segment| segment == "super") {
            (here, rest) = (self.modules[here].parent?, &rest[1..]);
        }
        self.descend(here, rest, seen)
    }

    /// The module that a path from this module on ends in.
    fn descend(&self, module: usize, rest: &[String], seen: &mut BTreeSet<(usize, String)>) -> Option<Target> {
        let Some((first, after)) = rest.split_first() else { return Some(Target::Module(module)) };
        Some(self.within(module, first, after, seen).unwrap_or(Target::Module(module)))
    }

    /// What a name means in a module that is not a thing of its own: a child, or what a `use` brings there.
    fn within(
        &self,
        module: usize,
        name: &str,
        rest: &[String],
        seen: &mut BTreeSet<(usize, String)>,
    ) -> Option<Target> {
        let own = &self.modules[module];
        if let Some(child) = own.children.get(name) {
            return self.descend(*child, rest, seen);
        }
        if !seen.insert((module, name.to_owned())) {
            return None;
        }
        let mut globs = Vec::new();
        for written in &own.uses {
            match written.name.as_deref() {
                Some("*") => globs.push(written),
                Some(known) if known == name => {
                    let path = [&written.segments, rest].concat();
                    // `use nix::libc` and the like begin with a crate, never with the name itself.
                    return self.find(module, &path, seen);
                }
                _ => {}
            }
        }
        // Only what a module hands on, by its name, is known of a glob.
        globs.iter().filter(|written| written.public).find_map(|written| {
            match self.find(module, &written.segments, seen)? {
                Target::Module(there) => self.within(there, name, rest, seen),
                Target::Outside(_) => None,
            }
        })
    }

    fn root(&self, mut module: usize) -> usize {
        while let Some(parent) = self.modules[module].parent {
            module = parent;
        }
        module
    }
}

fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

fn written(segments: Vec<String>, ident: &Ident) -> Written {
    Written { segments, line: ident.span().start().line, name: None, public: false }
}

/// The path that these tokens begin with, and of how many tokens it consists.
fn path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
        segments.push(ident.to_string());
        at += 1;
        match tokens.get(at..at + 3) {
            Some([one, two, TokenTree::Ident(_)]) if is_punct(one, ':') && is_punct(two, ':') => at += 2,
            _ => break,
        }
    }
    (segments, at.max(1))
}

/// The paths of a `use` tree, without `use` and `;`.
fn use_tree(tokens: &[TokenTree], prefix: &mut Vec<String>, found: &mut Vec<Written>) {
    for tree in tokens.split(|token| is_punct(token, ',')) {
        let length = prefix.len();
        let mut line = 0;
        let mut name = None;
        let mut tokens = tree.iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Ident(ident) if ident == "as" => {
                    name = tokens.next().map(ToString::to_string);
                }
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    // `use a::b::{self}`
                    if ident != "self" || prefix.len() == length && length == 0 {
                        prefix.push(ident.to_string());
                    }
                    name = prefix.last().cloned();
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    use_tree(&inner, prefix, found);
                    name = None;
                }
                token if is_punct(token, '*') => {
                    line = token.span().start().line;
                    name = Some("*".to_owned());
                }
                _ => {}
            }
        }
        if name.is_some() {
            found.push(Written { segments: prefix.clone(), line, name, public: false });
        }
        prefix.truncate(length);
    }
}

/// Whether these tokens begin with `#[cfg(test)]`.
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    match tokens {
        [mark, TokenTree::Group(group), ..] if is_punct(mark, '#') => {
            let text = group.stream().to_string().replace(' ', "");
            group.delimiter() == Delimiter::Bracket && text == "cfg(test)"
        }
        _ => false,
    }
}

/// Where the item that begins here, attributes included, is over.
fn end_of_item(tokens: &[TokenTree], mut at: usize) -> usize {
    while matches!(tokens.get(at..at + 2), Some([mark, TokenTree::Group(_)]) if is_punct(mark, '#')) {
        at += 2;
    }
    let is_use = tokens[at..].iter().take(3).any(|token| matches!(token, TokenTree::Ident(ident) if ident == "use"));
    let ends = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && !is_use,
        token => is_punct(token, ';'),
    };
    tokens[at..].iter().position(ends).map_or(tokens.len(), |length| at + length + 1)
}
