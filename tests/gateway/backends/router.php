<?php
// Tells what a PHP application is told: every variable of the request, and the body; of a profile, the bytes that it decodes to.
header('Content-Type: application/json');
$profile = fn($name) => bin2hex(rawurldecode($_SERVER["HTTP_X_$name"] ?? ''));
$decoded = ['nickname' => $profile('NICKNAME'), 'avatar' => $profile('AVATAR'), 'phone' => $profile('PHONE')];
echo json_encode(['decoded' => $decoded, 'server' => $_SERVER, 'get' => $_GET, 'post' => $_POST, 'body' => file_get_contents('php://input')]);
