//! One definition per setting: the field, its default, its documentation.
//!
//! Gives the macro `section!`, from which the structs, their defaults and the
//! reference in `docs/config.md` come. Never reads a file.

/// A setting as the reference shows it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key within the section.
    pub name: &'static str,
    /// The lines of its documentation.
    pub docs: &'static [&'static str],
}

macro_rules! section {
    ($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident: $ty:ty = $default:expr,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $ty,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            /// What the section is about.
            pub(super) const ABOUT: &'static [&'static str] = &[$($about),*];
            /// Its settings, in their order.
            pub(super) const FIELDS: &'static [super::section::Field] = &[
                $(super::section::Field {
                    name: stringify!($field),
                    docs: &[$($doc),+],
                },)*
            ];
        }
    };
}

pub(super) use section;
