//! The Arrow shape of the governed tables: one definition for ingest, planner and node.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use model::schema::{Column, ColumnType, MONEY_PRECISION, MONEY_SCALE, Table};

/// The Arrow type in which a governed column is stored and planned.
#[must_use]
pub fn arrow_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Key => DataType::UInt32,
        ColumnType::Text => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Integer => DataType::Int32,
        ColumnType::Float => DataType::Float64,
        ColumnType::Money => DataType::Decimal128(MONEY_PRECISION, MONEY_SCALE),
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Second, None),
    }
}

fn field(column: &Column) -> Field {
    Field::new(column.name, arrow_type(column.column_type), !column.required)
}

/// The Arrow schema of a governed table, columns in stored order.
#[must_use]
pub fn arrow_schema(table: &Table) -> SchemaRef {
    Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()))
}
