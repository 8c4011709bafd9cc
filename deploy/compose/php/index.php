<?php
// Answers with the caller as skeygate tells it: no WeChat code, no session code, no AppSecret.
// X-Openid arrives as HTTP_X_OPENID. A header that is missing means an anonymous caller (a route with auth = "optional").
declare(strict_types=1);

header('Content-Type: application/json');
echo json_encode([
    'backend' => 'php',
    'path'    => explode('?', $_SERVER['REQUEST_URI'], 2)[0],
    'openid'  => $_SERVER['HTTP_X_OPENID'] ?? null,
    'user_id' => $_SERVER['HTTP_X_USER_ID'] ?? null,
    'unionid' => $_SERVER['HTTP_X_UNIONID'] ?? null,
    'appid'   => $_SERVER['HTTP_X_WX_APPID'] ?? null,
], JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";
