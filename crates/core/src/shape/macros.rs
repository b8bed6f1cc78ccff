//! The declarations from which decoding and schema follow.

/// Declares an object: a struct, its decoding and its schema.
///
/// Each member is `required "key" name: Type` or `optional "key" name: Type`; an optional one is
/// an `Option` in the struct. `short "key"` after the name lets a bare value stand for an object
/// with only that key. Documentation comments become descriptions in the schema.
macro_rules! object {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident $(short $short:literal)? {
            $( $(#[doc = $member_doc:literal])* $kind:ident $key:literal $member:ident: $type:ty, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $( $(#[doc = $member_doc])* pub $member: $crate::shape::object!(@type $kind $type), )*
        }

        impl $crate::shape::Shape for $name {
            fn decode(
                value: &$crate::json::Value,
                ctx: &mut $crate::shape::Decoder<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($key),*];
                const SHORT: Option<&str> = $crate::shape::object!(@short $($short)?);
                let mut members = $crate::shape::Members::open(value, KEYS, SHORT, ctx)?;
                $( let $member = members.$kind::<$type>($key, ctx); )*
                if !members.is_whole() {
                    return None;
                }
                Some(Self { $( $member: $crate::shape::object!(@take $kind $member), )* })
            }

            fn schema(defs: &mut $crate::shape::SchemaDefs) -> serde_json::Value {
                let full = defs.named(stringify!($name), |defs| {
                    let properties = vec![$( $crate::shape::schema::Property {
                        key: $key,
                        doc: &[$($member_doc),*],
                        required: $crate::shape::object!(@required $kind),
                        schema: <$type as $crate::shape::Shape>::schema(defs),
                    } ),*];
                    $crate::shape::schema::object(&[$($doc),*], properties)
                });
                $crate::shape::object!(@any defs full [$($short)?] $($key: $type,)*)
            }
        }
    };
    (@type required $type:ty) => { $type };
    (@type optional $type:ty) => { Option<$type> };
    (@take required $member:ident) => { $member? };
    (@take optional $member:ident) => { $member };
    (@required required) => { true };
    (@required optional) => { false };
    (@short) => { None };
    (@short $short:literal) => { Some($short) };
    (@any $defs:ident $full:ident [] $($key:literal: $type:ty,)*) => { $full };
    (@any $defs:ident $full:ident [$short:literal] $($key:literal: $type:ty,)*) => {{
        let mut short = serde_json::Value::Bool(true);
        $( if $key == $short { short = <$type as $crate::shape::Shape>::schema($defs); } )*
        serde_json::json!({ "anyOf": [short, $full] })
    }};
}

/// Declares an enum of words.
macro_rules! keyword {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident { $( $(#[doc = $variant_doc:literal])* $variant:ident = $word:literal, )* }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[doc = $variant_doc])* $variant, )* }

        impl $name {
            /// The word as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl $crate::shape::Shape for $name {
            fn decode(
                value: &$crate::json::Value,
                ctx: &mut $crate::shape::Decoder<'_>,
            ) -> Option<Self> {
                const WORDS: &[&str] = &[$($word),*];
                let values = [$(Self::$variant),*];
                let found = $crate::shape::word::decode(value, WORDS, ctx)?;
                values.get(found).copied()
            }

            fn schema(_: &mut $crate::shape::SchemaDefs) -> serde_json::Value {
                $crate::shape::schema::words(&[$($word),*])
            }
        }
    };
}

/// Declares an enum that is written as an object with exactly one key, which chooses the variant.
macro_rules! single_key {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident($type:ty) = $key:literal, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $variant_doc])* $variant($type), )* }

        impl $name {
            /// The key that chooses this variant.
            pub fn key(&self) -> &'static str {
                match self { $(Self::$variant(_) => $key),* }
            }
        }

        impl $crate::shape::Shape for $name {
            fn decode(
                value: &$crate::json::Value,
                ctx: &mut $crate::shape::Decoder<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($key),*];
                let member = $crate::shape::word::only_member(value, KEYS, ctx)?;
                match &*member.key.value {
                    $( $key => <$type as $crate::shape::Shape>::decode(&member.value, ctx)
                        .map(Self::$variant), )*
                    _ => None,
                }
            }

            fn schema(defs: &mut $crate::shape::SchemaDefs) -> serde_json::Value {
                defs.named(stringify!($name), |defs| {
                    let choices = vec![$( $crate::shape::schema::object(
                        &[$($variant_doc),*],
                        vec![$crate::shape::schema::Property {
                            key: $key,
                            doc: &[$($variant_doc),*],
                            required: true,
                            schema: <$type as $crate::shape::Shape>::schema(defs),
                        }],
                    ) ),*];
                    let doc = $crate::shape::schema::prose(&[$($doc),*]);
                    serde_json::json!({ "description": doc, "oneOf": choices })
                })
            }
        }
    };
}

pub(crate) use {keyword, object, single_key};
