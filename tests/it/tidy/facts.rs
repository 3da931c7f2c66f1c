//! What a file says, as plain values that rules can look through.
//!
//! Takes Rust text; gives every path it names (imports flattened, `super` and
//! `self` resolved, tokens inside macros included), string literals, macros,
//! declared names, functions, modules and uses of `async`. Marks what stands
//! under `#[cfg(test)]`.

use proc_macro2::{LineColumn, Span, TokenStream, TokenTree};
use syn::{
    spanned::Spanned,
    visit::{self, Visit},
};

/// A path such as `tokio::spawn`; paths of this crate begin with `crate`.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) in_test: bool,
}

/// A function with its first and last line.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// A `mod name;` that lives in another file.
#[derive(Debug, Clone)]
pub(super) struct Declared {
    pub(super) name: String,
    /// The value of `#[path = "…"]`.
    pub(super) path: Option<String>,
    pub(super) in_test: bool,
}

/// Everything rules need to know of a file.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) paths: Vec<Named>,
    pub(super) strings: Vec<Named>,
    pub(super) macros: Vec<Named>,
    pub(super) asyncs: Vec<Named>,
    /// Names of types, traits, functions and modules.
    pub(super) names: Vec<Named>,
    pub(super) functions: Vec<Function>,
    pub(super) modules: Vec<Declared>,
    test_depth: usize,
    /// The path of the module being visited, below `crate`.
    here: Vec<String>,
}

impl Facts {
    pub(super) fn of(path: &str, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let mut facts = Self {
            here: module_path(path),
            ..Self::default()
        };
        facts.visit_file(&file);
        facts
    }

    fn named(&self, text: impl Into<String>, span: Span) -> Named {
        let LineColumn { line, .. } = span.start();
        Named {
            text: text.into(),
            line,
            in_test: self.test_depth > 0,
        }
    }

    fn path(&mut self, segments: &[String], span: Span) {
        let text = self.resolve(segments).join("::");
        self.paths.push(self.named(text, span));
    }

    /// Turns `super::x` and `self::x` into `crate::…::x`.
    fn resolve(&self, segments: &[String]) -> Vec<String> {
        let mut base = self.here.clone();
        let ups = segments
            .iter()
            .take_while(|s| *s == "super" || *s == "self");
        let mut taken = 0;
        for step in ups {
            taken += 1;
            if step == "super" {
                base.pop();
            }
        }
        if taken == 0 {
            return match segments.first().map(String::as_str) {
                Some("timerose") => rooted(&[], &segments[1..]),
                _ => segments.to_vec(),
            };
        }
        rooted(&base, &segments[taken..])
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |ident: &syn::Ident| [prefix, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|item| self.use_tree(item, prefix));
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.path(prefix, name.span()),
            syn::UseTree::Name(name) => self.path(&with(&name.ident), name.span()),
            syn::UseTree::Rename(rename) => self.path(&with(&rename.ident), rename.span()),
            syn::UseTree::Glob(glob) => self.path(prefix, glob.span()),
        }
    }

    /// Finds paths and strings in what a macro was given.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut run: Vec<(String, Span)> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_run(&mut run);
                    }
                    colons = 0;
                    run.push((ident.to_string(), ident.span()));
                }
                other => {
                    self.end_run(&mut run);
                    colons = 0;
                    self.other_token(other);
                }
            }
        }
        self.end_run(&mut run);
    }

    fn other_token(&mut self, token: TokenTree) {
        match token {
            TokenTree::Group(group) => self.tokens(group.stream()),
            TokenTree::Literal(literal) => {
                if let Ok(syn::Lit::Str(text)) = syn::parse_str(&literal.to_string()) {
                    self.strings.push(self.named(text.value(), literal.span()));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }

    fn end_run(&mut self, run: &mut Vec<(String, Span)>) {
        let Some((_, span)) = run.first().cloned() else {
            return;
        };
        let segments: Vec<String> = run.drain(..).map(|(name, _)| name).collect();
        match segments.as_slice() {
            [word] if word == "async" || word == "await" => {
                self.asyncs.push(self.named(word.clone(), span));
            }
            [_] => {}
            _ => self.path(&segments, span),
        }
    }

    fn name(&mut self, ident: &syn::Ident) {
        self.names.push(self.named(ident.to_string(), ident.span()));
    }

    fn function(&mut self, signature: &syn::Signature, end: Span) {
        self.name(&signature.ident);
        if let Some(keyword) = &signature.asyncness {
            self.asyncs.push(self.named("async fn", keyword.span()));
        }
        self.functions.push(Function {
            name: signature.ident.to_string(),
            first: signature.span().start().line,
            last: end.end().line,
        });
    }
}

/// `src/a/b.rs` is `a::b`; files of tests are roots of their own.
fn module_path(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or_default();
    let inside = inside.trim_end_matches(".rs");
    match inside {
        "lib" | "main" | "" => Vec::new(),
        _ => inside.split('/').map(str::to_owned).collect(),
    }
}

fn rooted(base: &[String], rest: &[String]) -> Vec<String> {
    [&["crate".to_owned()], base, rest].concat()
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::Path(_) | syn::Meta::NameValue(_) => false,
    })
}

fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes
        .iter()
        .find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }) => Some(text.value()),
                _ => None,
            },
            _ => None,
        })
}

impl<'ast> Visit<'ast> for Facts {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.test_depth += usize::from(is_test(&item.attrs));
        self.use_tree(&item.tree, &[]);
        self.test_depth -= usize::from(is_test(&item.attrs));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 {
            self.path(&segments, path.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(last) = item.path.segments.last() {
            self.macros
                .push(self.named(last.ident.to_string(), item.span()));
        }
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.strings.push(self.named(text.value(), text.span()));
    }

    /// Attributes hold documentation: nothing in them is a fact.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.name(&item.ident);
        if item.content.is_none() {
            let path = path_attribute(&item.attrs);
            let in_test = self.test_depth > 0 || is_test(&item.attrs);
            self.modules.push(Declared {
                name: item.ident.to_string(),
                path,
                in_test,
            });
        }
        self.test_depth += usize::from(is_test(&item.attrs));
        self.here.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.here.pop();
        self.test_depth -= usize::from(is_test(&item.attrs));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.test_depth += usize::from(is_test(&item.attrs));
        self.function(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
        self.test_depth -= usize::from(is_test(&item.attrs));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.test_depth += usize::from(is_test(&item.attrs));
        self.function(&item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
        self.test_depth -= usize::from(is_test(&item.attrs));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(&item.sig, item.span());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.name(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_expr_async(&mut self, item: &'ast syn::ExprAsync) {
        self.asyncs.push(self.named("async block", item.span()));
        visit::visit_expr_async(self, item);
    }

    fn visit_expr_await(&mut self, item: &'ast syn::ExprAwait) {
        self.asyncs.push(self.named("await", item.span()));
        visit::visit_expr_await(self, item);
    }
}
