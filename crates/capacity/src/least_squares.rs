//! Nonlinear least squares for a handful of parameters: Levenberg (1944),
//! Marquardt (1963), with numeric derivatives.

/// A minimum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minimum<const P: usize> {
    pub(crate) at: [f64; P],
    /// The sum of squares there.
    pub(crate) sum: f64,
}

const STEPS_MAX: usize = 60;

/// Minimises from `start`. `residuals` fills its buffer, and returns false if the
/// parameters have no meaning. `None` if `start` has no meaning.
pub(crate) fn minimize<const P: usize>(
    count: usize,
    start: [f64; P],
    residuals: impl Fn(&[f64; P], &mut [f64]) -> bool,
) -> Option<Minimum<P>> {
    let mut here = vec![0.0; count];
    let mut there = vec![0.0; count];
    let mut slopes = vec![[0.0; P]; count];
    let square = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    let mut at = start;
    if !residuals(&at, &mut here) {
        return None;
    }
    let mut sum = square(&here);
    let mut damping = 1e-3;
    for _ in 0..STEPS_MAX {
        for parameter in 0..P {
            let step = 1e-7 * at[parameter].abs().max(1e-4);
            let mut moved = at;
            moved[parameter] += step;
            let mut taken = step;
            if !residuals(&moved, &mut there) {
                moved[parameter] = at[parameter] - step;
                taken = -step;
                if !residuals(&moved, &mut there) {
                    return Some(Minimum { at, sum });
                }
            }
            for ((slope, there), here) in slopes.iter_mut().zip(&there).zip(&here) {
                slope[parameter] = (there - here) / taken;
            }
        }
        let mut normal = [[0.0; P]; P];
        let mut gradient = [0.0; P];
        for (slope, residual) in slopes.iter().zip(&here) {
            for row in 0..P {
                gradient[row] -= slope[row] * residual;
                for column in 0..P {
                    normal[row][column] += slope[row] * slope[column];
                }
            }
        }
        let before = sum;
        while damping < 1e12 {
            let mut damped = normal;
            for (index, row) in damped.iter_mut().enumerate() {
                row[index] += damping * normal[index][index].max(1e-300);
            }
            let stepped = solve(damped, gradient).map(|step| {
                let mut next = at;
                for (place, step) in next.iter_mut().zip(step) {
                    *place += step;
                }
                next
            });
            if let Some(next) = stepped
                && residuals(&next, &mut there)
                && square(&there) <= sum
            {
                at = next;
                sum = square(&there);
                here.copy_from_slice(&there);
                damping = (damping / 10.0).max(1e-12);
                break;
            }
            damping *= 10.0;
        }
        if before - sum <= 1e-13 * before {
            break;
        }
    }
    Some(Minimum { at, sum })
}

/// Gaussian elimination with pivots; `None` if there is no single solution.
pub(crate) fn solve<const P: usize>(
    mut matrix: [[f64; P]; P],
    mut right: [f64; P],
) -> Option<[f64; P]> {
    for column in 0..P {
        let pivot = (column..P)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))?;
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        if matrix[column][column] == 0.0 || !matrix[column][column].is_finite() {
            return None;
        }
        for row in column + 1..P {
            let factor = matrix[row][column] / matrix[column][column];
            let above = matrix[column];
            for (value, above) in matrix[row].iter_mut().zip(above).skip(column) {
                *value -= factor * above;
            }
            right[row] -= factor * right[column];
        }
    }
    let mut solution = [0.0; P];
    for row in (0..P).rev() {
        let known: f64 = (row + 1..P)
            .map(|column| matrix[row][column] * solution[column])
            .sum();
        solution[row] = (right[row] - known) / matrix[row][row];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::minimize;

    /// y = a·exp(b·x), from a distant start.
    #[test]
    fn an_exponential_is_found() {
        let points: Vec<f64> = (0..20).map(|x| f64::from(x) / 10.0).collect();
        let minimum = minimize(points.len(), [1.0, 0.0], |&[a, b], out| {
            for (out, x) in out.iter_mut().zip(&points) {
                *out = 3.0 * (-1.5 * x).exp() - a * (b * x).exp();
            }
            true
        });
        let minimum = minimum.expect("the start is good");
        assert!((minimum.at[0] - 3.0).abs() < 1e-6 && (minimum.at[1] + 1.5).abs() < 1e-6);
        assert!(minimum.sum < 1e-12);
    }
}
