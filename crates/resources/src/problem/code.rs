//! The catalogue of codes. A code is never given another meaning and never used again once it is gone.
//!
//! `IST` codes are Istio's own, for the same finding; `LT` codes are ours.

use std::fmt;

/// Whether a problem refuses the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is taken; something is probably not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Declares the codes with their text, severity and meaning.
macro_rules! codes {
    ($($name:ident = $text:literal, $severity:ident, $meaning:literal;)*) => {
        /// Which sort of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its text: `LT0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How severe a problem with it is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    // The text.
    Syntax = "LT0101", Error, "The file is not valid YAML.";
    DuplicateKey = "LT0102", Error, "A map has the same key twice.";
    KeyNotText = "LT0103", Error, "A map has a key that is not text.";
    TooLarge = "LT0104", Error, "A document is too deep, or too large once its aliases are put in.";
    IgnoredTag = "LT0105", Warning, "A YAML tag has no meaning here and is ignored.";
    TooManyProblems = "LT0106", Error, "An object has so many problems that the rest is left out.";
    // The object.
    NotAnObject = "LT0201", Error, "A document is not an object.";
    UnknownKind = "LT0202", Error, "The kind is not one that a mesh reads.";
    UnknownApiVersion = "LT0203", Error, "The kind is known, but not under this apiVersion.";
    InvalidName = "LT0204", Error, "A name or namespace is missing or not a valid one.";
    DuplicateObject = "LT0205", Error, "The same object is written twice.";
    InvalidLabel = "LT0206", Error, "A label or annotation is not a valid one.";
    IgnoredNamespace = "LT0207", Warning, "A kind that has no namespace is given one.";
    // The fields.
    UnknownField = "LT0301", Warning, "A field is not known and has no effect.";
    WrongType = "LT0302", Error, "A value is of the wrong type.";
    InvalidValue = "LT0303", Error, "A value is of the right type but not a valid one.";
    UnknownChoice = "LT0304", Error, "A value is not one of those that can be chosen.";
    Required = "LT0305", Error, "A field that must be set is missing.";
    Conflict = "LT0306", Error, "Fields are set that exclude each other.";
    Duplicate = "LT0307", Error, "A list holds the same thing twice.";
    Unsupported = "LT0308", Error, "A field is known but what it asks for is not supported.";
    NoEffect = "LT0309", Warning, "What is written has no effect.";
    Suspicious = "LT0310", Warning, "What is written is valid but probably not meant.";
    Deprecated = "IST0002", Warning, "A field is deprecated.";
    // The mesh.
    ReferencedResourceNotFound = "IST0101", Warning, "An object refers to something that does not exist.";
    ConflictingMeshGatewayVirtualServiceHosts = "IST0109", Warning, "Two VirtualServices route the same host.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
