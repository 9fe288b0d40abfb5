//! The catalogue of rules: those of the finders, and those of the tables.

use crate::rule::Rule;
use crate::shape::SHAPES;
use crate::token::TOKENS;

/// Every rule there is, by name.
pub fn rules() -> Vec<Rule> {
    let mut rules = Rule::ALL.to_vec();
    rules.extend(SHAPES.iter().map(|shape| shape.rule));
    rules.extend(TOKENS.iter().map(|token| token.rule));
    rules.sort_unstable();
    rules.dedup();
    rules
}
