//! Faults that a model can be told to have, by name.

use serde::{Deserialize, Serialize};

/// A list of faults, each with a name and a sentence.
pub trait Named: Copy + Eq + Serialize + Send + Sync + 'static {
    /// All of them, in the order in which a page should show them.
    const ALL: &'static [Self];

    /// The fault of the port itself: it refuses connections. No model sees that.
    const DOWN: Self;

    /// The name to switch it on by.
    fn name(self) -> &'static str;

    /// A sentence that says what it does.
    fn description(self) -> &'static str;

    /// What it has in common with similar faults, as a heading over them.
    fn heading(self) -> &'static str;

    /// The fault with this name.
    #[must_use]
    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|fault| fault.name() == name).copied()
    }
}

/// Defines an enum of faults: variant, name, sentence.
macro_rules! named_faults {
    ($(#[$meta:meta])* pub enum $Fault:ident { $($Variant:ident, $name:literal, $description:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $Fault {
            $(#[doc = $description] #[serde(rename = $name)] $Variant,)+
        }

        impl $crate::faults::Named for $Fault {
            const ALL: &'static [Self] = &[$(Self::$Variant,)+];
            const DOWN: Self = Self::Down;

            fn name(self) -> &'static str {
                match self { $(Self::$Variant => $name,)+ }
            }

            fn description(self) -> &'static str {
                match self { $(Self::$Variant => $description,)+ }
            }

            fn heading(self) -> &'static str {
                self.place().heading()
            }
        }
    };
}
pub(crate) use named_faults;

/// How long, or for what, a fault lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Until somebody clears it.
    UntilCleared,
    /// For so many, then it clears itself.
    Next(u32),
    /// Until somebody clears it, but only for what this text names.
    Matching(String),
}

/// A fault that is switched on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Active<F> {
    /// Which.
    pub fault: F,
    /// How long, or for what.
    pub scope: Scope,
}

impl<F> Active<F> {
    /// Whether it concerns something in which `names` recognises the scope's text.
    pub fn concerns(&self, names: impl FnOnce(&str) -> bool) -> bool {
        match &self.scope {
            Scope::Matching(text) => names(text),
            Scope::UntilCleared | Scope::Next(_) => true,
        }
    }
}

/// The faults of one model that are switched on.
#[derive(Clone, Debug)]
pub struct Faults<F>(Vec<Active<F>>);

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Named> Faults<F> {
    /// Switches a fault on. Of several that concern the same thing, the one switched on first
    /// counts.
    pub fn set(&mut self, fault: F, scope: Scope) {
        self.0.push(Active { fault, scope });
    }

    /// Switches one fault off.
    pub fn clear(&mut self, fault: F) {
        self.0.retain(|other| other.fault != fault);
    }

    /// Switches all faults off.
    pub fn clear_all(&mut self) {
        self.0.clear();
    }

    /// All that are switched on.
    #[must_use]
    pub fn active(&self) -> &[Active<F>] {
        &self.0
    }

    /// The first fault that is wanted here and concerns what `names` recognises. It counts as met
    /// once.
    pub fn meet(
        &mut self,
        wanted: impl Fn(F) -> bool,
        names: impl Fn(&str) -> bool,
    ) -> Option<Active<F>> {
        let place = self
            .0
            .iter()
            .position(|one| wanted(one.fault) && one.concerns(&names))?;
        let met = self.0.get(place)?.clone();
        if let Some(Active {
            scope: Scope::Next(left),
            ..
        }) = self.0.get_mut(place)
        {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(place);
            }
        }
        Some(met)
    }

    /// The first fault that is wanted here and lasts for everything until it is cleared.
    pub fn standing(&self, wanted: impl Fn(F) -> bool) -> Option<F> {
        let standing = |one: &&Active<F>| wanted(one.fault) && one.scope == Scope::UntilCleared;
        self.0.iter().find(standing).map(|one| one.fault)
    }
}
