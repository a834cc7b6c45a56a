//! Settings that people give in part: some for the host, others for a tenant or a camera.

/// Makes of one list of settings, each argued for beside its default, the values that hold and the
/// table in which people write some of them.
macro_rules! overlaid {
    (
        $(#[$of_values:meta])* $Values:ident,
        $(#[$of_table:meta])* $Table:ident:
        $($(#[$why:meta])* $name:ident = $default:literal;)*
    ) => {
        $(#[$of_values])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $Values {
            $($(#[$why])* pub $name: u32,)*
        }

        impl $Values {
            /// Those that hold where nobody says anything.
            pub const DEFAULT: Self = Self { $($name: $default,)* };
        }

        impl Default for $Values {
            fn default() -> Self {
                Self::DEFAULT
            }
        }

        $(#[$of_table])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $Table {
            $(
                $(#[$why])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<std::num::NonZeroU32>,
            )*
        }

        impl $Table {
            /// These values, and those of `wider` where they say nothing.
            #[must_use]
            pub fn within(self, wider: $Values) -> $Values {
                $Values { $($name: self.$name.map_or(wider.$name, std::num::NonZeroU32::get),)* }
            }

            /// This table, and `wider` where it says nothing.
            #[must_use]
            pub fn or(self, wider: Self) -> Self {
                Self { $($name: self.$name.or(wider.$name),)* }
            }

            /// What it says otherwise than `before`.
            #[must_use]
            pub fn other_than(self, before: Self) -> Self {
                Self { $($name: self.$name.filter(|_| self.$name != before.$name),)* }
            }

            /// Whether it says nothing at all.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }

            /// The first value that is above that of `most`: its name, and the most it may be.
            #[must_use]
            pub fn above(self, most: $Values) -> Option<(&'static str, u32)> {
                $(
                    if self.$name.is_some_and(|asked| asked.get() > most.$name) {
                        return Some((stringify!($name), most.$name));
                    }
                )*
                None
            }
        }
    };
}

pub(crate) use overlaid;
