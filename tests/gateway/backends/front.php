<?php
// A front controller as lenient as frameworks come: escapes are decoded, letter case, doubled slashes and one at the end do not
// count, and `/index.php/x` is `/x`.
header('Content-Type: text/plain');
$path = rawurldecode(strtok($_SERVER['REQUEST_URI'], '?'));
if (str_starts_with($path, '/index.php/')) {
    $path = substr($path, strlen('/index.php'));
}
$path = rtrim(strtolower(preg_replace('#/+#', '/', $path)), '/');
if (in_array($path, ['/admin/secret', '/admin/secret.php'], true)) {
    echo 'the secret of admin';
} else {
    http_response_code(404);
    echo "front: no $path";
}
