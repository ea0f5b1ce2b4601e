use super::*;
use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::atomic::{AtomicUsize, Ordering};

const BATCHES: i64 = 9;
const ROWS: i64 = 100;

#[derive(Debug, Default)]
struct Numbers {
    passes: AtomicUsize,
}

impl Source for Numbers {
    fn schema(&self) -> SchemaRef {
        let text = |name| Field::new(name, DataType::Utf8, true);
        let line = Field::new("line", DataType::Int64, false);
        Arc::new(Schema::new(vec![text("Fee.Bed"), text("fee_drug"), text("unread"), line]))
    }

    fn open(&self, columns: &[usize]) -> Pass {
        self.passes.fetch_add(1, Ordering::SeqCst);
        assert!(!columns.contains(&2), "an unread column is not asked for");
        let schema = Arc::new(self.schema().project(columns).unwrap());
        let columns = columns.to_vec();
        let batches = (0..BATCHES).map(move |batch| {
            let lines: Vec<i64> = (batch * ROWS..(batch + 1) * ROWS).collect();
            let text: StringArray = lines.iter().map(|l| Some(l.to_string())).collect();
            let arrays: Vec<arrow::array::ArrayRef> = columns
                .iter()
                .map(|c| match c {
                    3 => Arc::new(Int64Array::from(lines.clone())) as _,
                    _ => Arc::new(text.clone()) as _,
                })
                .collect();
            RecordBatch::try_new(Arc::clone(&schema), arrays)
        });
        futures::stream::iter(batches.collect::<Vec<_>>()).boxed()
    }
}

fn statement(sql: &str) -> Statement {
    Statement { file: "fee.sql".to_owned(), sql: sql.to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unions_share_one_pass_and_order_is_kept_when_asked() {
    let numbers = Arc::new(Numbers::default());
    let source = Arc::clone(&numbers) as Arc<dyn Source>;
    let fees = statement(
        "SELECT line, 'bed' AS class, \"Fee.Bed\" AS amount FROM source \
         UNION ALL SELECT line, 'drug', fee_drug FROM source WHERE fee_drug <> '5'",
    );
    let lines = statement("SELECT line + 1 AS line, upper(fee_drug) AS x FROM source");
    let both: Vec<_> = together(&[fees.clone(), lines.clone()], &source)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let rows = |of| both.iter().filter(|(p, _)| *p == of).map(|(_, b)| b.num_rows()).sum::<usize>();
    assert_eq!((rows(0), rows(1)), (1_799, 900));
    assert_eq!(numbers.passes.load(Ordering::SeqCst), 1, "three scans, one pass");

    let ordered: Vec<_> = in_order(&lines, &source).await.unwrap().try_collect().await.unwrap();
    let mut expected = 1;
    for (_, batch) in &ordered {
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        for line in column.values() {
            assert_eq!(*line, expected);
            expected += 1;
        }
    }
    let grouped =
        statement("SELECT max(line) AS line, count(*) AS n FROM source GROUP BY line % 2");
    let grouped: Vec<_> = together(&[grouped], &source).await.unwrap().try_collect().await.unwrap();
    assert_eq!(grouped.iter().map(|(_, b)| b.num_rows()).sum::<usize>(), 2);
}

#[tokio::test]
async fn only_one_select_over_known_columns_is_admitted() {
    let source = Arc::new(Numbers::default()) as Arc<dyn Source>;
    for sql in [
        "SELECT 1; SELECT 2",
        "CREATE TABLE t AS SELECT * FROM source",
        "COPY source TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "INSERT INTO source VALUES (1)",
        "EXPLAIN SELECT 1",
        "SET datafusion.execution.batch_size = 1",
        "",
    ] {
        let error = check(&[statement(sql)], &source).await.unwrap_err();
        assert!(matches!(error, MappingError::NotOneSelect { .. }), "{sql}: {error}");
    }
    for sql in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM generate_series(1, 10)",
        "SELECT * FROM information_schema.tables",
        "SELEC 1",
    ] {
        let error = check(&[statement(sql)], &source).await.unwrap_err();
        assert!(matches!(error, MappingError::Sql { .. }), "{sql}: {error}");
    }
    let error = check(&[statement("SELECT fee_bed FROM source")], &source).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("fee.sql") && text.contains("no column fee_bed"), "{text}");
    assert!(text.contains("nearest: \"Fee.Bed\""), "{text}");
    assert!(text.contains("SELECT fee_bed FROM source"), "{text}");
}
