//! From text to a formula.

use model::glm::Transform;

use super::{
    Formula, FormulaError, MAX_FORMULA_BYTES, MAX_TERMS, Nature, Outcome, Variable, nature,
};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Number(String),
    Sign(char),
}

/// A reader of tokens, each with its place.
#[derive(Debug)]
pub(super) struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    end: usize,
    references: Vec<(String, String)>,
}

fn wrong(place: usize, reason: impl Into<String>) -> FormulaError {
    FormulaError { place, reason: reason.into() }
}

impl Parser {
    pub(super) fn new(text: &str) -> Result<Self, FormulaError> {
        if text.len() > MAX_FORMULA_BYTES {
            let reason = format!("a formula has at most {MAX_FORMULA_BYTES} bytes");
            return Err(wrong(MAX_FORMULA_BYTES, reason));
        }
        let characters: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&first) = characters.get(at) {
            let place = at + 1;
            let run = |from: usize, fits: fn(char) -> bool| {
                characters[from..].iter().take_while(|c| fits(**c)).collect::<String>()
            };
            match first {
                c if c.is_whitespace() => at += 1,
                c if c.is_alphabetic() || c == '_' => {
                    let name = run(at, |c| c.is_alphanumeric() || c == '_');
                    at += name.chars().count();
                    tokens.push((Token::Name(name), place));
                }
                c if c.is_ascii_digit() => {
                    let number = run(at, |c| c.is_ascii_digit());
                    at += number.len();
                    tokens.push((Token::Number(number), place));
                }
                '"' | '\'' => {
                    let text: String =
                        characters[at + 1..].iter().take_while(|c| **c != first).collect();
                    at += text.chars().count() + 2;
                    if at > characters.len() {
                        return Err(wrong(place, "the quotation does not end"));
                    }
                    tokens.push((Token::Text(text), place));
                }
                '~' | '+' | ':' | '*' | '(' | ')' | ',' | '^' => {
                    at += 1;
                    tokens.push((Token::Sign(first), place));
                }
                '-' => {
                    return Err(wrong(
                        place,
                        "terms are not taken away; every model has an intercept",
                    ));
                }
                other => {
                    return Err(wrong(place, format!("{other:?} has no meaning in a formula")));
                }
            }
        }
        Ok(Self { tokens, next: 0, end: characters.len() + 1, references: Vec::new() })
    }

    fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(_, place)| *place)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).map(|(token, _)| token.clone());
        self.next += usize::from(token.is_some());
        token
    }

    fn takes(&mut self, sign: char) -> bool {
        let is_next = self.tokens.get(self.next).is_some_and(|(t, _)| *t == Token::Sign(sign));
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: char) -> Result<(), FormulaError> {
        let place = self.place();
        if self.takes(sign) { Ok(()) } else { Err(wrong(place, format!("expected '{sign}'"))) }
    }

    fn name(&mut self) -> Result<(String, usize), FormulaError> {
        let place = self.place();
        match self.take() {
            Some(Token::Name(name)) => Ok((name, place)),
            _ => Err(wrong(place, "expected a column")),
        }
    }

    pub(super) fn formula(mut self) -> Result<Formula, FormulaError> {
        let outcome = self.outcome()?;
        if !self.takes('~') {
            let reason = "expected '~' after the response, as in total_cost ~ sex + age_band";
            return Err(wrong(self.place(), reason));
        }
        let mut terms: Vec<Vec<Variable>> = Vec::new();
        let mut offset = None;
        loop {
            let place = self.place();
            if self.is_offset() {
                let (column, transform) = self.offset()?;
                if offset.replace((column, transform)).is_some() {
                    return Err(wrong(place, "a model has one offset"));
                }
            } else if self
                .tokens
                .get(self.next)
                .is_some_and(|(t, _)| *t == Token::Number("1".into()))
            {
                self.next += 1;
            } else {
                let new = self.term()?;
                add(&mut terms, new, place)?;
            }
            if !self.takes('+') {
                break;
            }
        }
        if self.next < self.tokens.len() {
            return Err(wrong(self.place(), "expected '+', ':', '*' or the end"));
        }
        // Main effects first, then interactions, each in the order in which they were written.
        terms.sort_by_key(Vec::len);
        let formula = Formula { outcome, terms, offset, references: self.references };
        let modelled = formula.outcome_column().to_owned();
        let used = formula.terms.iter().flatten().any(|variable| match variable {
            Variable::Factor(name) | Variable::Number(name, _) => *name == modelled,
        });
        let offset = formula.offset.as_ref().is_some_and(|(name, _)| *name == modelled);
        if used || offset {
            return Err(wrong(1, format!("{modelled} cannot explain itself")));
        }
        Ok(formula)
    }

    fn outcome(&mut self) -> Result<Outcome, FormulaError> {
        let place = self.place();
        let (name, transform) = self.number_or_name()?;
        match nature(&name).map_err(|reason| wrong(place, reason))? {
            Nature::Number => Ok(Outcome::Number(name, transform)),
            Nature::Flag if transform == Transform::Identity => Ok(Outcome::Event(name)),
            _ => Err(wrong(place, format!("{name} is neither a number nor a flag"))),
        }
    }

    fn is_offset(&self) -> bool {
        let mut tokens = self.tokens[self.next..].iter().map(|(token, _)| token);
        tokens.next() == Some(&Token::Name("offset".to_owned()))
            && tokens.next() == Some(&Token::Sign('('))
    }

    fn offset(&mut self) -> Result<(String, Transform), FormulaError> {
        self.next += 2;
        let place = self.place();
        let (name, transform) = self.number_or_name()?;
        self.expect(')')?;
        match nature(&name).map_err(|reason| wrong(place, reason))? {
            Nature::Number => Ok((name, transform)),
            _ => Err(wrong(place, format!("{name} is no number"))),
        }
    }

    /// One term, or several where it is written with `*`.
    fn term(&mut self) -> Result<Vec<Vec<Variable>>, FormulaError> {
        let mut terms = vec![self.interaction()?];
        while self.takes('*') {
            let place = self.place();
            let right = self.interaction()?;
            let crossed = terms.iter().map(|left| union(left, &right)).collect::<Vec<_>>();
            // Each factor doubles them.
            add(&mut terms, std::iter::once(right).chain(crossed), place)?;
        }
        Ok(terms)
    }

    fn interaction(&mut self) -> Result<Vec<Variable>, FormulaError> {
        let mut variables = vec![self.variable()?];
        while self.takes(':') {
            let place = self.place();
            let variable = self.variable()?;
            if variables.contains(&variable) {
                return Err(wrong(place, "a column interacts with others, not with itself"));
            }
            variables.push(variable);
        }
        variables.sort_unstable();
        Ok(variables)
    }

    fn variable(&mut self) -> Result<Variable, FormulaError> {
        let place = self.place();
        let is_category = self.tokens.get(self.next).is_some_and(
            |(token, _)| matches!(token, Token::Name(name) if name == "C" || name == "c"),
        );
        if is_category
            && self.tokens.get(self.next + 1).is_some_and(|(t, _)| *t == Token::Sign('('))
        {
            self.next += 2;
            return self.category();
        }
        let (name, transform) = self.number_or_name()?;
        match nature(&name).map_err(|reason| wrong(place, reason))? {
            Nature::Number => Ok(Variable::Number(name, transform)),
            Nature::Factor | Nature::Flag if transform == Transform::Identity => {
                Ok(Variable::Factor(name))
            }
            _ => Err(wrong(place, format!("{name} is no number"))),
        }
    }

    /// What stands in `C(...)`.
    fn category(&mut self) -> Result<Variable, FormulaError> {
        let (name, place) = self.name()?;
        nature(&name).map_err(|reason| wrong(place, reason))?;
        if self.takes(',') {
            let place = self.place();
            let Some(Token::Text(level) | Token::Number(level)) = self.take() else {
                return Err(wrong(place, "expected the reference level in quotation marks"));
            };
            if self.references.iter().any(|(known, other)| *known == name && *other != level) {
                return Err(wrong(place, format!("{name} has two reference levels")));
            }
            self.references.push((name.clone(), level));
        }
        self.expect(')')?;
        Ok(Variable::Factor(name))
    }

    /// `x`, `log(x)`, `sqrt(x)`, `x^2` or `x^3`.
    fn number_or_name(&mut self) -> Result<(String, Transform), FormulaError> {
        let (name, place) = self.name()?;
        if self.takes('(') {
            let transform = match name.as_str() {
                "log" | "ln" => Transform::Log,
                "sqrt" => Transform::SquareRoot,
                _ => {
                    let reason = format!("{name} is no function of formulas: log, sqrt, C, offset");
                    return Err(wrong(place, reason));
                }
            };
            let (inner, _) = self.name()?;
            self.expect(')')?;
            return Ok((inner, transform));
        }
        if self.takes('^') {
            let place = self.place();
            return match self.take() {
                Some(Token::Number(power)) if power == "2" => Ok((name, Transform::Square)),
                Some(Token::Number(power)) if power == "3" => Ok((name, Transform::Cube)),
                _ => Err(wrong(place, "expected the power 2 or 3")),
            };
        }
        Ok((name, Transform::Identity))
    }
}

/// Adds what is not there yet.
fn add(
    terms: &mut Vec<Vec<Variable>>,
    new: impl IntoIterator<Item = Vec<Variable>>,
    place: usize,
) -> Result<(), FormulaError> {
    for term in new {
        if !terms.contains(&term) {
            terms.push(term);
        }
    }
    if terms.len() > MAX_TERMS {
        return Err(wrong(place, format!("a formula has at most {MAX_TERMS} terms")));
    }
    Ok(())
}

fn union(left: &[Variable], right: &[Variable]) -> Vec<Variable> {
    let mut both: Vec<_> = left.iter().chain(right).cloned().collect();
    both.sort_unstable();
    both.dedup();
    both
}
