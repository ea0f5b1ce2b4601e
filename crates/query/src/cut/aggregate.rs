//! SQL aggregates and the sums they are functions of.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::{Expr, LogicalPlan};
use model::moments::Denominator;
use model::percentile::Fraction;
use model::schema::{HOSPITAL_ID, PERSON_KEY, STAY_KEY};
use model::{Refusal, RefusalCode};

use crate::finish::FinalKind;
use crate::session::PERCENTILE_ERROR;
use crate::walk::{Flat, number, refuse_binning};

/// What one aggregate needs, before scales and places are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Rows,
    Persons,
    Stays,
    Contributors,
    /// An input and the highest power that is summed: 0 counts, 1 sums, 2 squares.
    Moments(usize, u8),
    /// Two inputs, pairwise complete.
    Products(usize, usize),
    /// The bins of an input.
    Histogram(usize),
}

/// An aggregate that waits for its place among the cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub need: Need,
    pub kind: FinalKind,
    /// The aggregate, as SQL names it.
    pub name: String,
}

/// The inputs and needs of all aggregates of one cut.
#[derive(Debug, Default)]
pub(crate) struct Decomposed {
    pub(super) inputs: Vec<Expr>,
    pub(super) needs: Vec<Need>,
}

fn refuse(name: &str, reason: &str, instead: &str) -> Refusal {
    Refusal::new(RefusalCode::Aggregate, format!("{name}()"), reason, instead)
}

fn refuse_by_name(name: &str) -> Refusal {
    let (reason, instead) = match name {
        "min" | "max" => (
            "The smallest or largest value is one person's value.",
            "Use avg, stddev, or count(*) FILTER (WHERE column >= ...).",
        ),
        "median" | "percentile_cont" | "quantile_cont" => (
            "An exact percentile is one person's value.",
            "approx_median(column) and approx_percentile_cont(column, 0.9) are possible; they are \
             exact where enough persons have the same whole number.",
        ),
        "approx_percentile_cont_with_weight" => {
            ("Percentiles are not weighted.", "approx_percentile_cont(column, 0.9) is possible.")
        }
        "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value" | "any_value" => {
            ("The aggregate returns values of rows.", "Use count, sum, avg or stddev.")
        }
        "approx_distinct" => (
            "Sketches of few values reveal them.",
            "Use COUNT(DISTINCT person_key) or group by the column.",
        ),
        "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor" => {
            ("The aggregate is decided by single rows.", "Use count(*) FILTER (WHERE ...).")
        }
        "grouping" => ("GROUPING SETS are not possible over rows.", "Ask for each grouping."),
        _ => ("The aggregate is not a function of sums.", "Use count, sum, avg, stddev, corr."),
    };
    refuse(name, reason, instead)
}

fn kind_of(name: &str) -> Option<(FinalKind, u8)> {
    use Denominator::{Population, Sample};
    Some(match name {
        "sum" => (FinalKind::Sum, 1),
        "avg" => (FinalKind::Mean, 1),
        "var" => (FinalKind::Variance(Sample), 2),
        "var_pop" => (FinalKind::Variance(Population), 2),
        "stddev" => (FinalKind::Deviation(Sample), 2),
        "stddev_pop" => (FinalKind::Deviation(Population), 2),
        _ => return None,
    })
}

fn pair_kind_of(name: &str) -> Option<FinalKind> {
    use Denominator::{Population, Sample};
    Some(match name {
        "covar_samp" => FinalKind::Covariance(Sample),
        "covar_pop" => FinalKind::Covariance(Population),
        "corr" => FinalKind::Correlation,
        "regr_slope" => FinalKind::Slope,
        "regr_intercept" => FinalKind::Intercept,
        "regr_count" => FinalKind::PairCount,
        "regr_r2" => FinalKind::RSquared,
        "regr_avgx" => FinalKind::MeanX,
        "regr_avgy" => FinalKind::MeanY,
        "regr_sxx" => FinalKind::Sxx,
        "regr_syy" => FinalKind::Syy,
        "regr_sxy" => FinalKind::Sxy,
        _ => return None,
    })
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.is_null())
}

/// `CASE WHEN condition THEN value END`.
fn only_when(condition: Expr, value: Expr) -> Expr {
    Expr::Case(Case {
        expr: None,
        when_then_expr: vec![(condition.into(), value.into())],
        else_expr: None,
    })
}

fn one() -> Expr {
    Expr::Literal(ScalarValue::Int64(Some(1)), None)
}

impl Decomposed {
    /// The distinct inputs, in order.
    pub(crate) fn inputs(&self) -> Vec<Expr> {
        self.inputs.clone()
    }

    fn input(&mut self, expr: Expr) -> usize {
        if let Some(index) = self.inputs.iter().position(|known| *known == expr) {
            return index;
        }
        self.inputs.push(expr);
        self.inputs.len() - 1
    }

    fn need(&mut self, need: Need, kind: FinalKind) -> Pending {
        if !self.needs.contains(&need) {
            self.needs.push(need);
        }
        Pending { need, kind, name: String::new() }
    }

    /// Takes in one aggregate expression of the cut.
    ///
    /// # Errors
    /// A [`Refusal`] with code `aggregate` for everything that is not a function of sums.
    pub(crate) fn add(
        &mut self,
        expr: &Expr,
        flat: &Flat,
        input: &LogicalPlan,
    ) -> Result<Pending, Refusal> {
        let name = expr.schema_name().to_string();
        Ok(Pending { name, ..self.add_unnamed(expr, flat, input)? })
    }

    fn add_unnamed(
        &mut self,
        expr: &Expr,
        flat: &Flat,
        input: &LogicalPlan,
    ) -> Result<Pending, Refusal> {
        let expr = expr.clone().unalias();
        let Expr::AggregateFunction(call) = expr else {
            return Err(refuse("aggregate", "The expression is not an aggregate.", ""));
        };
        let name = call.func.name().to_owned();
        if matches!(name.as_str(), "approx_median" | "approx_percentile_cont" | PERCENTILE_ERROR) {
            return self.percentile(&call, flat, input);
        }
        if name == "percentile_cont" || name == "quantile_cont" {
            return Err(refuse_by_name(&name));
        }
        if !call.params.order_by.is_empty() || call.params.null_treatment.is_some() {
            return Err(refuse(&name, "An aggregate is not ordered.", "Leave the order out."));
        }
        let resolve = |expr: &Expr| flat.resolve(expr, input);
        let filter = call.params.filter.as_deref().map(resolve).transpose()?;
        let args = call.params.args.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        let when = |value: Expr| match &filter {
            Some(filter) => only_when(filter.clone(), value),
            None => value,
        };
        match (name.as_str(), args.as_slice()) {
            ("count", [arg]) if call.params.distinct => self.distinct(arg, filter.is_some(), flat),
            (_, _) if call.params.distinct => {
                let reason = "DISTINCT over values returns values of rows.";
                Err(refuse(&name, reason, "COUNT(DISTINCT person_key) is possible."))
            }
            ("count", [] | [_]) if args.first().is_none_or(is_literal) => match filter {
                None => Ok(self.need(Need::Rows, FinalKind::Count)),
                Some(_) => {
                    let input = self.input(when(one()));
                    Ok(self.need(Need::Moments(input, 0), FinalKind::Count))
                }
            },
            ("count", [arg]) => {
                let input = self.input(when(presence(arg, flat)));
                Ok(self.need(Need::Moments(input, 0), FinalKind::Count))
            }
            (_, [arg]) => {
                let (kind, power) = kind_of(&name).ok_or_else(|| refuse_by_name(&name))?;
                let input = self.input(when(arg.clone()));
                Ok(self.need(Need::Moments(input, power), kind))
            }
            (_, [y, x]) => {
                let kind = pair_kind_of(&name).ok_or_else(|| refuse_by_name(&name))?;
                let (x, y) = (self.input(when(x.clone())), self.input(when(y.clone())));
                Ok(self.need(Need::Products(x, y), kind))
            }
            _ => Err(refuse_by_name(&name)),
        }
    }

    /// `approx_median(x)`, `approx_percentile_cont(x, q)`, `approx_percentile_cont(q) WITHIN GROUP
    /// (ORDER BY x)`, and `approx_percentile_error(x, q)`, which says how far off they can be.
    fn percentile(
        &mut self,
        call: &AggregateFunction,
        flat: &Flat,
        input: &LogicalPlan,
    ) -> Result<Pending, Refusal> {
        let name = call.func.name();
        let params = &call.params;
        if params.distinct || params.null_treatment.is_some() {
            let reason = "A percentile of distinct values says where single persons lie.";
            return Err(refuse(name, reason, "Leave DISTINCT out."));
        }
        let wrong = || {
            let reason = "A percentile is of one column, at a literal between 0 and 1.";
            refuse(name, reason, "Write approx_percentile_cont(total_cost, 0.9).")
        };
        let fraction = |expr: &Expr| match number(expr)? {
            value if (0.0..=1.0).contains(&value) => Fraction::new(value),
            _ => None,
        };
        let (column, fraction) = match (params.args.as_slice(), params.order_by.as_slice()) {
            ([column], []) if name == "approx_median" => (column, Fraction::HALF),
            ([column, at], []) if name != "approx_median" => {
                (column, fraction(at).ok_or_else(wrong)?)
            }
            ([.., at], [sort]) if name != "approx_median" && params.args.len() <= 2 => {
                let fraction = fraction(at).ok_or_else(wrong)?;
                (&sort.expr, if sort.asc { fraction } else { fraction.from_above() })
            }
            _ => return Err(wrong()),
        };
        let column = flat.resolve(column, input)?;
        if flat.relation.base(&column).is_none() {
            return Err(refuse_binning(name));
        }
        let value = match params.filter.as_deref() {
            Some(filter) => only_when(flat.resolve(filter, input)?, column),
            None => column,
        };
        let input = self.input(value);
        let kind = if name == PERCENTILE_ERROR {
            FinalKind::PercentileError(fraction)
        } else {
            FinalKind::Percentile(fraction)
        };
        Ok(self.need(Need::Histogram(input), kind))
    }

    fn distinct(&mut self, arg: &Expr, filtered: bool, flat: &Flat) -> Result<Pending, Refusal> {
        if filtered {
            let instead = "Put the condition into WHERE.";
            return Err(refuse("count", "COUNT(DISTINCT) takes no FILTER.", instead));
        }
        let need = match flat.relation.base(arg).map(|(_, column)| column.name) {
            Some(PERSON_KEY) => Need::Persons,
            Some(STAY_KEY) => Need::Stays,
            Some(HOSPITAL_ID) => Need::Contributors,
            _ => {
                return Err(refuse(
                    "count",
                    "Distinct values of this column cannot be added up over hospitals.",
                    "COUNT(DISTINCT person_key), stay_key or hospital_id are possible; or group \
                     by the column.",
                ));
            }
        };
        Ok(self.need(need, FinalKind::Count))
    }
}

/// What `count(expr)` adds up: the number itself where it is one, else a mark of presence.
fn presence(arg: &Expr, flat: &Flat) -> Expr {
    let measurable = flat.relation.base(arg).is_none_or(|(_, column)| column.is_measurable());
    if measurable { arg.clone() } else { only_when(arg.clone().is_not_null(), one()) }
}
