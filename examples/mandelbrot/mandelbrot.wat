;; Adds up how many steps each point of a square grid over the Mandelbrot set
;; stays bounded, at most $limit each: nothing but arithmetic, and the sum
;; depends on all of it.
(module
  (func $steps (param $cx f64) (param $cy f64) (param $limit i64) (result i64)
    (local $x f64) (local $y f64) (local $xx f64) (local $yy f64) (local $n i64)
    (block $done
      (loop $again
        (br_if $done (i64.eq (local.get $n) (local.get $limit)))
        (local.set $xx (f64.mul (local.get $x) (local.get $x)))
        (local.set $yy (f64.mul (local.get $y) (local.get $y)))
        (br_if $done (f64.gt (f64.add (local.get $xx) (local.get $yy)) (f64.const 4)))
        (local.set $y (f64.add (f64.mul (f64.mul (f64.const 2) (local.get $x)) (local.get $y)) (local.get $cy)))
        (local.set $x (f64.add (f64.sub (local.get $xx) (local.get $yy)) (local.get $cx)))
        (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br $again)))
    (local.get $n))

  ;; The part of the plane from -2-1.5i, three wide and high.
  (func $at (param $index i32) (param $side i32) (param $low f64) (result f64)
    (f64.add (local.get $low)
      (f64.div
        (f64.mul (f64.const 3) (f64.convert_i32_u (local.get $index)))
        (f64.convert_i32_u (local.get $side)))))

  (func (export "mandelbrot") (param $side i32) (param $limit i64) (result i64)
    (local $row i32) (local $column i32) (local $sum i64)
    (block $done
      (loop $rows
        (br_if $done (i32.ge_u (local.get $row) (local.get $side)))
        (local.set $column (i32.const 0))
        (block $end
          (loop $columns
            (br_if $end (i32.ge_u (local.get $column) (local.get $side)))
            (local.set $sum (i64.add (local.get $sum)
              (call $steps
                (call $at (local.get $column) (local.get $side) (f64.const -2))
                (call $at (local.get $row) (local.get $side) (f64.const -1.5))
                (local.get $limit))))
            (local.set $column (i32.add (local.get $column) (i32.const 1)))
            (br $columns)))
        (local.set $row (i32.add (local.get $row) (i32.const 1)))
        (br $rows)))
    (local.get $sum)))
